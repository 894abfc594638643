"""Check all files of a split before training. The entry point is ``run_checks``."""
