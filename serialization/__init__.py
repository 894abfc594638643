"""Weights and arrays from disk and back: readers that run nothing of a file, writers that leave no half one.

``safe_pickle`` is what the readers of pickled formats stand on, ``atomic`` what the writers stand on.
"""
