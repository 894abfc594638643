"""The published evaluation protocols, in NumPy alone. Begin at ``depth_protocol``."""
