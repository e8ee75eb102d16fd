"""Connections of nodes: whose they are, which are stale, how full the table is."""
