"""netinspect: reads the network of a Kubernetes node and judges it against the API."""

__version__ = "0.1.0"
