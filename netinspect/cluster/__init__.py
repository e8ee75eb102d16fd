"""The cluster door: the only importer of the Kubernetes client."""
