"""Which rules are shown, of which dataplane, and whose they are."""
