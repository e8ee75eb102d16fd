"""What to ask a node, as values: the only place where an argv is written."""
