"""Encoders, decoders, pose networks, and the model that combines them."""
