"""A pod that is deleted is proved gone by its uid and its silence, and back by another uid."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.node import Node
from cluster.pods import Pod, PodError, pod_name
from faults.backends import pods
from faults.backends.pods import PodsBackend
from faults.backends.registry import WAYS_OUT
from faults.effect import Effect
from faults.errors import FaultError
from faults.kinds import KINDS
from faults.planned import PlannedFault
from faults.randomly import drawable_kinds

FAULT = PlannedFault(
    id="kill",
    kind="pod_kill",
    effects=frozenset({Effect.UNAVAILABLE, Effect.COLD}),
    nodes=("node2",),
    at_s=0.0,
    duration_s=5.0,
)


class Api:
    """The API server as far as the backend sees it: pods by name, each with its uid."""

    def __init__(self) -> None:
        self.pods = {f"memcached-{i}": self.pod(f"memcached-{i}", "old") for i in range(3)}
        self.deleted: list[str] = []
        self.refusal = ""
        self.follows = True  # whether a controller starts another pod at once

    @staticmethod
    def pod(name: str, uid: str, *, ready: bool = True, ending: bool = False) -> Pod:
        return Pod(name=name, uid=uid, is_ready=ready, is_ending=ending)

    def get(self, name: str) -> Pod | None:
        if self.refusal:
            raise PodError(self.refusal)
        return self.pods.get(name)

    def delete(self, pod: Pod) -> None:
        if self.refusal:
            raise PodError(self.refusal)
        self.deleted.append(pod.uid)
        self.pods.pop(pod.name)
        if self.follows:
            self.pods[pod.name] = self.pod(pod.name, "new", ready=False)


class Door:
    """A memcached that answers `version` for as long as it is open."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                if connection.recv(100):
                    connection.sendall(b"VERSION 1.6.18\r\n")

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(2)


@pytest.fixture
def door() -> Iterator[Door]:
    opened = Door()
    yield opened
    if opened._thread.is_alive():
        opened.close()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def backend(api: Api, door: Door, monkeypatch: pytest.MonkeyPatch) -> PodsBackend:
    """Give a backend whose nodes are named as pods and answer on this machine."""
    nodes = [
        Node(
            name=f"node{i + 1}",
            address=("127.0.0.1", door.port),
            direct=(f"memcached-{i}.memcached", door.port),
        )
        for i in range(3)
    ]
    answer = pods.version

    def here(address: tuple[str, int], timeout_s: float) -> str:
        return answer(("127.0.0.1", address[1]), timeout_s)

    monkeypatch.setattr(pods, "version", here)
    monkeypatch.setattr(pods, "GONE_WITHIN_S", 0.5)
    monkeypatch.setattr(pods, "BACK_WITHIN_S", 0.5)
    return PodsBackend(api, nodes)  # type: ignore[arg-type]


def test_a_kill_is_proved_and_awaited(backend: PodsBackend, api: Api, door: Door) -> None:
    """Only the node's own pod goes; it counts as gone when it is silent, as back when ready."""
    assert backend.needs(FAULT) == ""
    assert backend.undos(FAULT) == {}
    backend.inject(FAULT)
    assert api.deleted == ["old"]
    assert set(api.pods) == {"memcached-0", "memcached-1", "memcached-2"}
    assert "pod memcached-1 of node2 was deleted" in backend.read_back(FAULT)
    assert backend.leftovers() == ["pod memcached-1 of node2 is not back"]
    with pytest.raises(FaultError, match="node2 was to be gone, but answers"):
        backend.observe(FAULT)  # the door of the test still stands open
    with pytest.raises(FaultError, match="is not back after"):
        backend.heal(FAULT)
    api.pods["memcached-1"] = api.pod("memcached-1", "new")
    assert "answers from another pod already" in backend.observe(FAULT)
    backend.heal(FAULT)
    assert "is ready (uid new)" in backend.read_back_healed(FAULT)
    assert "answers `version` again" in backend.observe_healed(FAULT)
    assert backend.leftovers() == []
    door.close()
    assert "node2 is gone" in backend.observe(FAULT)


def test_a_pod_that_stays_is_no_kill(backend: PodsBackend, api: Api) -> None:
    """A deletion without effect is told, and a spared pod is nothing to wait for."""
    backend.undos(FAULT)
    with pytest.raises(FaultError, match="was to be deleted and is there"):
        backend.read_back(FAULT)
    backend.heal(FAULT)
    assert backend.leftovers() == []


def test_what_keeps_it_from_working_is_one_line(backend: PodsBackend, api: Api) -> None:
    """A missing right and an address without a pod are named before the start."""
    api.refusal = "the Kubernetes API refuses to get pod memcached-1: its Role is in k8s"
    assert backend.needs(FAULT) == api.refusal
    api.refusal = ""
    del api.pods["memcached-1"]
    assert "is no pod of this namespace" in backend.needs(FAULT)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("memcached-0.memcached", "memcached-0"),
        ("memcached-2.memcached.memquake.svc.cluster.local", "memcached-2"),
        ("10.0.0.1", ""),
        ("cache", ""),
    ],
)
def test_a_pod_is_named_by_its_host(host: str, name: str) -> None:
    """Only a name in DNS of a StatefulSet's pod names one; a number or a bare host does not."""
    assert pod_name((host, 11211)) == name


def test_chance_never_draws_it() -> None:
    """Where it cannot be had it is refused with the way out, and never drawn by chance."""
    assert KINDS["pod_kill"].backend in WAYS_OUT
    assert "pod_kill" not in drawable_kinds()


def test_no_token_is_no_api(tmp_path: Any) -> None:
    """Without a mounted token there is nothing to speak with: that is how it is off."""
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert pods.PodApi.of_this_pod(tmp_path, environ) is None
    for name, text in (("token", "t"), ("ca.crt", "c"), ("namespace", "ns\n")):
        (tmp_path / name).write_text(text)
    assert pods.PodApi.of_this_pod(tmp_path, {}) is None
    assert pods.PodApi.of_this_pod(tmp_path, environ) is not None
