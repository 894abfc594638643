"""The depth networks as files that run without this project: what they hold, how they are written, checked and run."""
