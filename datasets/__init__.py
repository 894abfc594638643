"""Loading of samples and batches from split lines. ``mono_dataset`` defines the keys of a sample."""
