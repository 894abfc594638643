"""The published evaluation protocols and more: NumPy, OpenCV and SciPy, no Paddle. Begin at ``depth_protocol``."""
