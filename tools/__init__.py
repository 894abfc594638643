"""Commands, and packages that only commands use."""
