"""Who we are to the API server, and what we may do there."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from netinspect.errors import ClusterError
from netinspect.models.codec import encode_json
from netinspect.parse.api import parse_object

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient


class _UserInfo(msgspec.Struct, frozen=True):
    username: str = ""


class _ReviewStatus(msgspec.Struct, frozen=True, rename="camel"):
    user_info: _UserInfo = _UserInfo()
    allowed: bool = False
    reason: str = ""


class _Review(msgspec.Struct, frozen=True):
    status: _ReviewStatus = _ReviewStatus()


def get_user(client: ClusterClient) -> str:
    """Return the user name that the API server knows us by (SelfSubjectReview, v1 since Kubernetes 1.28).

    An older server, or one that does not let us ask, leaves the name that the kubeconfig uses.
    """
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = client.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", encode_json(body))
    except ClusterError as error:
        if error.status in (403, 404):
            return client.context.impersonation.user or client.context.user_name or "unknown"
        raise
    return parse_object(_Review, answer).status.user_info.username or "unknown"


def may(client: ClusterClient, verb: str, resource: str, namespace: str, *, subresource: str = "") -> bool:
    """Whether we may do `verb` on `resource` in `namespace` (SelfSubjectAccessReview).

    Raises:
        ClusterError: the API server does not answer the question.
    """
    attributes: dict[str, Any] = {"verb": verb, "resource": resource, "namespace": namespace}
    if subresource:
        attributes["subresource"] = subresource
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = client.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", encode_json(body))
    return parse_object(_Review, answer).status.allowed


def explain_exec_refusal(client: ClusterClient, error: ClusterError, namespace: str) -> ClusterError:
    """Name the verb for which an exec was refused.

    Kubernetes 1.35 and later ask for `create` on pods/exec as well as `get`, and refuse a missing `create` with an
    empty reason (pkg/registry/core/pod/rest/subresources.go). What the server says of itself is left as it is.
    """
    if error.status != HTTPStatus.FORBIDDEN or "cannot " in error.message:
        return error
    for verb in ("create", "get"):
        if not may(client, verb, "pods", namespace, subresource="exec"):
            text = (
                f'User "{get_user(client)}" cannot {verb} resource "pods/exec" in API group "" '
                f'in the namespace "{namespace}"'
            )
            return ClusterError(
                f"{error.message.rstrip(': ')}: {text}", status=error.status, reason=error.reason
            )
    return error
