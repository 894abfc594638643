"""Shared basics: errors, environment, files, processes, images and videos."""
