"""What is asked of cluster DNS, and what is wrong with the answers."""
