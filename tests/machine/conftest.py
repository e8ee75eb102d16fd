"""The package's own client, of an API server that has nothing: the machine is no node of a cluster."""

from tests.fake.plugin import client, fake_api, kubeconfig, pki

__all__ = ["client", "fake_api", "kubeconfig", "pki"]
