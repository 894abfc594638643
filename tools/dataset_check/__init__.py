"""Checks of a whole split before it is trained on. Begin at ``run_checks``."""
