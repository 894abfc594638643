"""C++ operators for the CPU; ``ops`` is their only interface."""
