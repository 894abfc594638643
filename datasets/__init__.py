"""Samples from disk: split lines to samples to batches. The sample's contract stands in `mono_dataset`."""
