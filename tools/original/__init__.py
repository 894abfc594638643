"""Comparison with a checkout of the original implementation. Entry point: ``comparison``."""
