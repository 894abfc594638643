"""Evaluation protocols for depth and pose in NumPy, OpenCV and SciPy, without Paddle. Start with ``depth_protocol``."""
