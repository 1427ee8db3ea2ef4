"""Whole runs against nodes with TLS and a token, and on unix sockets; the options say it all."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.papers import NAME, Papers, make_papers

Start = Callable[..., Any]

SHORT = ["--scenario", "none", "-u", "10", "--target-rate", "300", "-t", "8s"]
SECRET = "s3cret"


@pytest.fixture
def papers(binary: Callable[[str], str], tmp_path: Path) -> Papers:
    """Return papers made for this test: no key lies in the repository."""
    return make_papers(binary("openssl"), tmp_path)


@pytest.fixture
def guarded(
    memcached_with: Start, free_port: Callable[[], int], papers: Papers, tmp_path: Path
) -> list[str]:
    """Start two nodes that want TLS and a token; give the options that let a run in."""
    token = tmp_path / "token"
    token.write_text(f"shop:{SECRET}\n")
    tls = f"ssl_chain_cert={papers.chain},ssl_key={papers.key}"
    ports = [free_port() for _ in range(2)]
    for port in ports:

        def listens(port: int = port) -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        memcached_with(
            listens, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-Y", str(token), "-Z",
            "-o", tls,
        )  # fmt: skip
    return [
        "--nodes", ",".join(f"127.0.0.1:{port}" for port in ports),
        "--tls-ca", papers.authority, "--tls-server-name", NAME, "--auth-token-file", str(token),
    ]  # fmt: skip


def test_a_run_with_tls_and_a_token(judge: Start, guarded: list[str]) -> None:
    """PASS with a worker of its own, and the run folder holds no word of the token."""
    result = judge([*SHORT, *guarded, "--processes", "1"])
    assert result.exit_code == 0, str(result)
    assert result.run_dir is not None
    for file in result.run_dir.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
    assert SECRET not in result.stdout + result.stderr


@pytest.mark.prove
def test_network_faults_reach_nodes_with_tls_and_a_token(judge: Start, guarded: list[str]) -> None:
    """A black hole through a Toxiproxy of our own, confirmed by a probe that speaks TLS."""
    hole = ["--scenario", "node-blackhole", "--time-scale", "0.3", "-u", "10"]
    result = judge([*hole, "--target-rate", "300", *guarded], timeout_s=120)
    assert result.exit_code == 0, str(result)
    assert result.check("fault_confirmed")["verdict"] == "PASS"


@pytest.fixture
def unix_nodes(memcached_with: Start, tmp_path: Path) -> str:
    """Start two nodes on unix sockets; give them as `--nodes` takes them."""
    paths = [str(tmp_path / f"{number}.sock") for number in (1, 2)]
    for path in paths:

        def listens(path: str = path) -> bool:
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(path) == 0

        memcached_with(listens, "-s", path)
    return ",".join(f"unix:{path}" for path in paths)


@pytest.mark.prove
def test_a_run_on_unix_sockets(judge: Start, unix_nodes: str) -> None:
    """PASS, judged by what the servers themselves count."""
    result = judge([*SHORT, "--nodes", unix_nodes])
    assert result.exit_code == 0, str(result)
    assert result.check("retry_amplification")["verdict"] == "PASS"
