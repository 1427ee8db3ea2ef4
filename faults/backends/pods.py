"""Faults of a node's pod: it is deleted, and its controller starts it again.

Kubernetes heals by itself, so the guard has nothing to undo: what a dead harness leaves is a pod
that is on its way back. Only pods that the addresses of the nodes name are touched, and only the
very pod (uid) that was there when the fault began.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.node import Node, spell
from cluster.pods import Pod, PodApi, PodError, pod_name
from cluster.probe import ProbeError, version
from faults.backends.base import SILENCE_S, expect_answer, on_each
from faults.errors import FaultError
from faults.planned import PlannedFault

GONE_WITHIN_S = 3.5  # the kubelet ends the containers, usually within a second
BACK_WITHIN_S = 30.0  # scheduling, a sandbox, a start, and the name in DNS; the image is there
POLL_S = 0.1


class PodsBackend:
    """Kind pod_kill."""

    def __init__(self, api: PodApi, nodes: Sequence[Node]) -> None:
        self._api = api
        self._nodes = nodes
        self._before: dict[tuple[str, str], Pod] = {}  # (fault, node) -> the pod it began with
        self._deleted: set[tuple[str, str]] = set()  # those that were asked to go

    def needs(self, fault: PlannedFault) -> str:
        """Ask for a pod behind every node, and for the right to see it."""
        for name in fault.nodes:
            address = self._node(name).direct
            try:
                pod = self._api.get(pod_name(address)) if pod_name(address) else None
            except PodError as why:
                return str(why)
            if pod is None:
                return (
                    f"{spell(address)} of {name} is no pod of this namespace: give nodes as "
                    "pod.service:port"
                )
        return ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Look at the pods as they are; there is nothing for the guard to undo."""
        for name in fault.nodes:
            self._before[fault.id, name] = self._pod(name)
            self._deleted.discard((fault.id, name))
        return {}

    def inject(self, fault: PlannedFault) -> None:
        """Delete the pods."""

        def delete(name: str) -> None:
            self._deleted.add((fault.id, name))
            try:
                self._api.delete(self._before[fault.id, name])
            except PodError as why:
                raise FaultError(str(why)) from None

        on_each(fault.nodes, delete)

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the API server: the pod that was there is there no more, or ending."""
        words = []
        for name in fault.nodes:
            old, now = self._before[fault.id, name], self._look(name)
            if now is not None and now.uid == old.uid and not now.is_ending:
                raise FaultError(f"pod {old.name} was to be deleted and is there")
            words.append(f"pod {old.name} of {name} was deleted (uid {old.uid})")
        return "; ".join(words)

    def observe(self, fault: PlannedFault) -> str:
        """Ask the node directly until it does not answer."""

        def look(name: str) -> str:
            direct = self._node(name).direct
            deadline = time.monotonic() + GONE_WITHIN_S
            while time.monotonic() < deadline:
                try:
                    version(direct, SILENCE_S)
                except ProbeError as why:
                    return f"{name} is gone: {why}"
                if self._is_back(fault, name):
                    return f"{name} answers from another pod already"
                time.sleep(POLL_S)
            raise FaultError(f"{name} was to be gone, but answers")

        return "; ".join(on_each(fault.nodes, look))

    def heal(self, fault: PlannedFault) -> None:
        """Wait for the new pods, and until their names lead to them."""

        def wait(name: str) -> None:
            deadline = time.monotonic() + BACK_WITHIN_S
            while not (self._is_back(fault, name) and self._answers(name)):
                if time.monotonic() > deadline:
                    raise FaultError(f"the pod of {name} is not back after {BACK_WITHIN_S:g} s")
                time.sleep(POLL_S)

        on_each(fault.nodes, wait)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask the API server: another pod of that name is ready."""
        words = []
        for name in fault.nodes:
            if not self._is_back(fault, name):
                raise FaultError(f"the pod of {name} is not back")
            pod = self._pod(name)
            words.append(f"pod {pod.name} of {name} is ready (uid {pod.uid})")
        return "; ".join(words)

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        return "; ".join(
            on_each(fault.nodes, lambda name: expect_answer(name, self._node(name).address))
        )

    def clean(self) -> list[str]:
        """Nothing: a controller brings its pods back whoever deleted them."""
        return []

    def leftovers(self) -> list[str]:
        """Name the nodes whose deleted pod has no ready follower."""
        left = []
        for at in self._deleted:
            name, old = at[1], self._before[at]
            try:
                now = self._look(name)
            except FaultError:
                now = None
            if now is None or (now.uid != old.uid and not now.is_ready):
                left.append(f"pod {old.name} of {name} is not back")
        return sorted(set(left))

    def _is_back(self, fault: PlannedFault, name: str) -> bool:
        """Tell whether a pod is ready that is not the deleted one; a spared one is as well."""
        now, at = self._look(name), (fault.id, name)
        if now is None or not now.is_ready or now.is_ending:
            return False
        return at not in self._deleted or now.uid != self._before[at].uid

    def _answers(self, name: str) -> bool:
        with contextlib.suppress(ProbeError):
            return bool(version(self._node(name).direct, SILENCE_S))
        return False

    def _pod(self, name: str) -> Pod:
        pod = self._look(name)
        if pod is None:
            raise FaultError(f"the pod of {name} is not there")
        return pod

    def _look(self, name: str) -> Pod | None:
        try:
            return self._api.get(pod_name(self._node(name).direct))
        except PodError as why:
            raise FaultError(str(why)) from None

    def _node(self, name: str) -> Node:
        return next(node for node in self._nodes if node.name == name)
