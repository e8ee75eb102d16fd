"""Runs a plan through a source and reads what came back, with every missing fact named."""
