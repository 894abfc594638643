"""A run as one page to read offline: what it scored, how it went, what it sees. Begin at ``report``."""
