"""Commands, and the packages that only commands use."""
