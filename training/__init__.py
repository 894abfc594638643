"""What the Trainer is made of: building the model and the data, progress, logs, validation, finished weights."""
