"""Benchmarks that ``tools/benchmark.py`` runs, a module each, and what they compare with."""
