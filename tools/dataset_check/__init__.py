"""Checks of a whole split before training. The entry point is ``run_checks``."""
