"""Prediction: weights and images in; depth, motions and files out."""
