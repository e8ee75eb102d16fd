"""What the maps of all dataplanes share: names, sources, and when two maps are the same."""
