"""What differs between two states of one cluster's network."""
