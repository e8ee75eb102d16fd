"""Fixtures for all unit tests."""

from tests.fake.plugin import client, fake_api, kubeconfig, pki

__all__ = ["client", "fake_api", "kubeconfig", "pki"]
