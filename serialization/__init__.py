"""Read and write weights and checkpoints: readers never execute file content, writers never leave a partial file.

Readers of pickled formats build on ``safe_pickle``, writers on ``common.atomic_files``.
"""
