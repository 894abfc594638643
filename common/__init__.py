"""Basics that all other packages share: images and videos, opened safely."""
