"""Kubernetes' own view of the nodes' pods, from within the cluster, as little as is needed.

It speaks to the API server of the pod it runs in, with the token of that pod's service account;
where no token is mounted there is nothing to speak with, which is how this is off by default.
Every question has a deadline. Nothing here decides what to delete.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from cluster.node import Address

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEADLINE_S = 5.0
NOT_FOUND, FORBIDDEN, CONFLICT = 404, 403, 409


class PodError(Exception):
    """The API server did not do what was asked. `str()` is one line."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod as the API server knows it. `uid` is another one for each pod of the same name."""

    name: str
    uid: str
    is_ready: bool
    is_ending: bool


def pod_name(address: Address) -> str:
    """Give the name of the pod behind a node's address, "" where the host names none.

    A pod of a StatefulSet has a name in DNS: `memcached-0.memcached`, with or without what follows.
    """
    first, _, rest = address[0].partition(".")
    return first if rest and not first.isdigit() else ""


class PodApi:
    """The API server, for the pods of this pod's own namespace."""

    def __init__(self, url: str, namespace: str, *, token: Path, authority: Path | None) -> None:
        self._url = f"{url}/api/v1/namespaces/{namespace}/pods"
        self._token = token
        self._session = requests.Session()
        self._session.trust_env = False
        if authority is not None:
            self._session.verify = str(authority)

    @classmethod
    def of_this_pod(
        cls, account: Path = ACCOUNT, environ: Mapping[str, str] = os.environ
    ) -> PodApi | None:
        """Give the API for the pod this runs in, None where it has no token."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
        token, authority = account / "token", account / "ca.crt"
        if not host or not token.is_file() or not authority.is_file():
            return None
        where = f"[{host}]" if ":" in host else host
        namespace = (account / "namespace").read_text().strip()
        return cls(f"https://{where}:{port}", namespace, token=token, authority=authority)

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def get(self, name: str) -> Pod | None:
        """Give a pod, None where there is none of that name. Raises PodError."""
        answer = self._call("GET", name)
        if answer is None:
            return None
        conditions = answer.get("status", {}).get("conditions", [])
        metadata = answer["metadata"]
        return Pod(
            name=name,
            uid=str(metadata["uid"]),
            is_ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
            is_ending=metadata.get("deletionTimestamp") is not None,
        )

    def delete(self, pod: Pod) -> None:
        """Delete this very pod without grace; one that is gone is fine. Raises PodError."""
        self._call(
            "DELETE",
            pod.name,
            {
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": pod.uid},
            },
        )

    def _call(self, method: str, name: str, body: Any = None) -> dict[str, Any] | None:
        try:
            answer = self._session.request(
                method,
                f"{self._url}/{name}",
                json=body,
                timeout=DEADLINE_S,
                # Read each time: the kubelet replaces a token before it ends.
                headers={"Authorization": f"Bearer {self._token.read_text().strip()}"},
            )
            found = answer.json()
        except (OSError, ValueError) as why:  # of requests as well
            raise PodError(f"the Kubernetes API does not answer ({type(why).__name__})") from None
        if answer.status_code == NOT_FOUND or (
            method == "DELETE" and answer.status_code == CONFLICT
        ):
            return None
        if answer.status_code == FORBIDDEN:
            raise PodError(
                f"the Kubernetes API refuses to {method.lower()} pod {name}: its Role is in "
                "k8s/components/pod-chaos"
            )
        if not answer.ok or not isinstance(found, dict):
            words = found.get("message") if isinstance(found, dict) else None
            raise PodError(f"the Kubernetes API: {words or answer.status_code}")
        return found
