"""The published evaluation protocols and more, in NumPy, OpenCV and SciPy, without Paddle. Begin at ``depth_protocol``."""
