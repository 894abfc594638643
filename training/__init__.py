"""The parts of the Trainer: setup, forward pass, optimizer step, validation, checkpoints, logging, processes."""
