"""Export depth networks to files that run without this project: tracing, writing, verification and runtimes."""
