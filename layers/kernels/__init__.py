"""C++ operators for the CPU behind one module, ``ops``."""
