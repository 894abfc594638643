"""Depth and pose metrics in NumPy, SciPy and OpenCV, usable on their own."""
