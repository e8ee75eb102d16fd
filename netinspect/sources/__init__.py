"""Where facts come from: one interface, several houses."""
