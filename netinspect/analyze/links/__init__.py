"""Which link of a node is a pod's, and which netns."""
