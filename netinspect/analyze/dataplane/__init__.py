"""Which of the ways to Services a node uses, and what is left there of others."""
