"""Benchmarks run by ``tools/benchmark.py``, one module each, and their baselines."""
