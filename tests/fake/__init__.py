"""A scriptable API server on loopback, for what a real one will not do on demand. Standard library only."""
