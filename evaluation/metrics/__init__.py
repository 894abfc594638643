"""Depth and pose metrics in NumPy, SciPy and OpenCV, usable without the rest of the project."""
