"""Real servers of older series, built from their Go modules, are taken and used as they are."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.external import ExternalCluster
from cluster.probe import ProbeError, version
from cluster.toxiproxy import Toxiproxy
from faults.backends.toxiproxy import ToxiproxyBackend
from faults.planned import PlannedFault
from memquake.paths import TOOLS
from tests.conftest import answers_http, start_server

pytestmark = [pytest.mark.prove, pytest.mark.light]

BUILD_S = 300.0
KEPT = TOOLS / "old-toxiproxy"
SERVERS = {
    "2.1.4": ("github.com/Shopify/toxiproxy", "v2.1.4+incompatible", "cmd"),
    "2.3.0": ("github.com/Shopify/toxiproxy/v2", "v2.3.0", "cmd/server"),
    "2.5.0": ("github.com/Shopify/toxiproxy/v2", "v2.5.0", "cmd/server"),
}
KINDS: dict[str, dict[str, Any]] = {
    "down": {},
    "timeout": {},
    "latency": {"latency_s": 0.2},
    "bandwidth": {"bytes_per_second": 50_000.0},
}


def build(release: str, go: str) -> Path:
    """Build a server once for this checkout and return its program."""
    program = KEPT / release / "toxiproxy-server"
    if program.exists():
        return program
    module, tag, command = SERVERS[release]
    folder = KEPT / release / "build"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text(f"module old\n\ngo 1.21\n\nrequire {module} {tag}\n")
    (folder / "old.go").write_text(f'package old\n\nimport _ "{module}"\n')
    for words in (
        ["mod", "tidy"],
        ["build", "-mod=mod", "-o", str(program), f"{module}/{command}"],
    ):
        subprocess.run(
            [go, *words], cwd=folder, check=True, timeout=BUILD_S, env=os.environ | {"GOFLAGS": ""}
        )
    return program


@pytest.fixture(params=sorted(SERVERS))
def old(request: pytest.FixtureRequest, binary: Callable[[str], str]) -> Iterator[Any]:
    path = build(request.param, binary("go"))
    server = start_server(
        lambda port: [str(path), "-host", "127.0.0.1", "-port", str(port)], answers_http, None
    )
    yield request.param, server
    server.stop()


def test_an_old_server_is_taken_and_every_fault_of_it_is_confirmed(
    old: Any, memcached: Callable[..., Any]
) -> None:
    """Injected, read back, felt, healed, read back: nothing of ours is left."""
    release, server = old
    node = memcached()
    api = Toxiproxy(server.url)
    assert api.identify()
    given = ExternalCluster([node.address], toxiproxy_url=server.url, with_proxies=True)
    with given as cluster:
        backend = ToxiproxyBackend(api, cluster.nodes)
        for kind, attributes in KINDS.items():
            fault = fault_of(kind, attributes)
            assert backend.needs(fault) == ""
            backend.inject(fault)
            assert backend.read_back(fault), (release, kind)
            if kind in {"down", "timeout"}:
                with pytest.raises(ProbeError):
                    version(cluster.nodes[0].address, 0.3)
            backend.heal(fault)
            assert backend.read_back_healed(fault), (release, kind)
            assert version(cluster.nodes[0].address, 5)
    assert api.proxies() == {}
    api.close()


def test_a_toxic_that_an_old_server_lacks_is_said_before_the_run(
    old: Any, memcached: Callable[..., Any]
) -> None:
    """2.1 has no reset_peer; the trial leaves nothing behind."""
    release, server = old
    api = Toxiproxy(server.url)
    given = ExternalCluster([memcached().address], toxiproxy_url=server.url, with_proxies=True)
    with given as cluster:
        there = set(api.proxies())
        missing = ToxiproxyBackend(api, cluster.nodes).needs(fault_of("reset_peer", {}))
        assert ("knows no toxic reset_peer" in missing) is release.startswith("2.1")
        assert set(api.proxies()) == there
    api.close()


def fault_of(kind: str, attributes: dict[str, Any]) -> PlannedFault:
    return PlannedFault(
        id=kind.replace("_", "-"),
        kind=kind,
        effects=frozenset(),
        nodes=("node1",),
        at_s=0,
        duration_s=30,
        attributes=attributes,
    )
