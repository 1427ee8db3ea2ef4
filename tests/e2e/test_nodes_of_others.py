"""What others do to nodes while a run goes on: honest clients are convicted of none of it.

The nodes are real memcached processes that the test itself kills, halts, flushes and fills.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.embedded import EmbeddedCluster
from cluster.node import spell
from cluster.ports import free_port
from cluster.probe import ProbeError, stats
from memquake.paths import CHECKOUT

CLIENTS = ["memquake", "pymemcache-hash", "tests.e2e.honest_client:build"]
STEADY = ["--scenario", "none", "-u", "10", "--target-rate", "300"]
HOLE = ["--scenario", "node-blackhole", "--time-scale", "0.3", "-u", "10", "--target-rate", "300"]
BEGUN_WITHIN_S = 40.0
OWN_ITEMS = 10  # marks of the look at the nodes before the run
Act = Callable[[EmbeddedCluster], None]
EXCUSED = "calls failed around that time and are excused: "


@pytest.fixture
def nodes() -> Iterator[EmbeddedCluster]:
    """Return three nodes of somebody else's."""
    with EmbeddedCluster(3, with_proxies=False) as cluster:
        yield cluster


def given(nodes: EmbeddedCluster) -> list[str]:
    return ["--nodes", ",".join(spell(node.direct) for node in nodes.nodes)]


def told(nodes: EmbeddedCluster, command: bytes) -> None:
    """Send node1 a command over a connection of its own."""
    with socket.create_connection(nodes.nodes[0].direct, 2.0) as connection:
        connection.sendall(command)
        assert connection.recv(100).startswith((b"OK", b"STORED", b"RESET"))


def restart(nodes: EmbeddedCluster) -> None:
    nodes.kill_node("node1")
    time.sleep(0.2)
    nodes.restart_node("node1")


def be_away(nodes: EmbeddedCluster) -> None:
    nodes.kill_node("node1")
    time.sleep(3)
    nodes.restart_node("node1")


def hang(nodes: EmbeddedCluster) -> None:
    nodes.pause_node("node1")
    time.sleep(3)
    nodes.resume_node("node1")


def go(nodes: EmbeddedCluster) -> None:
    nodes.kill_node("node1")


def flush(nodes: EmbeddedCluster) -> None:
    told(nodes, b"flush_all\r\n")


def flush_later(nodes: EmbeddedCluster) -> None:
    told(nodes, b"flush_all 4\r\n")


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BEGUN_WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def run_beside(start_locust: Callable, nodes: EmbeddedCluster, load: list[str], act: Act) -> Any:
    """Run to the end, with something happening to the nodes some seconds after second 0."""
    process = start_locust([*load, *given(nodes)], cwd=CHECKOUT)
    wait_for(lambda: "running" in process.stdout or "stabilization" in process.stdout, "no run")
    time.sleep(3.5)
    act(nodes)
    result = process.finish(120)
    assert result.exit_code in {0, 3}, str(result)
    return result


def note_on(result: Any) -> str:
    """Return what is said of the nodes, beside how many calls that excuses."""
    (note,) = (note for note in result.verdict["notes"] if EXCUSED not in note)
    return str(note)


def test_a_node_that_others_restart_is_named(
    start_locust: Callable, nodes: EmbeddedCluster
) -> None:
    """The verdict says which and when; what it lost is excused."""
    load = [*STEADY, "-t", "8s", "--client", "tests.e2e.honest_client:build"]
    result = run_beside(start_locust, nodes, load, restart)
    note = note_on(result)  # "node1 restarted at 3 s", or "was away from ... and restarted"
    assert note.startswith("node1 "), str(result)
    assert "restarted" in note
    assert note.endswith(", not by memquake")
    said = " ".join(result.stdout.split())
    assert note in said
    assert EXCUSED in said, "a node that is away fails calls, which nothing else accounts for"
    assert result.check("no_lost_writes")["verdict"] in {"PASS", "INCONCLUSIVE"}, str(result)


def test_keys_that_do_not_fit_are_refused_before_the_run(run_locust: Callable) -> None:
    """A run that must evict convicts the client of what the nodes had no room for."""
    load = ["--scenario", "none", "-t", "20s", "-u", "5", "--target-rate", "50"]
    result = run_locust([*load, "--value-size", "100000"])
    assert result.exit_code == 2, str(result)
    (line,) = result.stderr.splitlines()
    assert "need 116 MB on each node, and there are 64 MB on node1" in line
    assert result.verdict is None


@pytest.mark.light
@pytest.mark.prove
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("act", "words"),
    [
        pytest.param(restart, "restarted", id="restarted"),
        pytest.param(be_away, "and restarted, not by memquake", id="away for 3 s"),
        pytest.param(hang, "node1 was away from", id="halted for 3 s"),
        pytest.param(go, "to the end, not by memquake", id="gone"),
        pytest.param(flush, "node1 was flushed at", id="flushed"),
        pytest.param(flush_later, "node1 was flushed at", id="flushed four seconds later"),
    ],
)
def test_honest_clients_are_not_convicted(
    start_locust: Callable, nodes: EmbeddedCluster, client: str, act: Act, words: str
) -> None:
    """Whatever happens to a node of others, no client is at fault."""
    load = [*STEADY, "-t", "25s", "--client", client]
    assert words in note_on(run_beside(start_locust, nodes, load, act))


@pytest.mark.light
@pytest.mark.prove
@pytest.mark.parametrize("client", ["memquake", "tests.e2e.honest_client:build"])
def test_a_restart_beside_a_planned_fault_convicts_nobody(
    start_locust: Callable, nodes: EmbeddedCluster, client: str
) -> None:
    """The fault is on another node, and what it shows is not the client's alone."""

    def restart_in_the_fault(nodes: EmbeddedCluster) -> None:
        time.sleep(8)
        restart(nodes)

    result = run_beside(start_locust, nodes, [*HOLE, "--client", client], restart_in_the_fault)
    assert "node1" in note_on(result), str(result)


@pytest.mark.light
@pytest.mark.prove
@pytest.mark.parametrize("client", CLIENTS)
def test_a_flush_while_keys_are_stored_convicts_nobody(
    start_locust: Callable, nodes: EmbeddedCluster, client: str
) -> None:
    """What is lost before second 0 is excused as it is afterwards."""
    process = start_locust([*STEADY, "-t", "12s", *given(nodes), "--client", client], cwd=CHECKOUT)
    wait_for(lambda: items_of(nodes) > OWN_ITEMS, "no key was stored")
    flush(nodes)
    result = process.finish(90)
    assert result.exit_code in {0, 3}, str(result)
    assert "node1 was flushed" in note_on(result), str(result)


def items_of(nodes: EmbeddedCluster) -> int:
    try:
        return stats(nodes.nodes[0].direct, 1.0)["curr_items"]
    except ProbeError:
        return 0


@pytest.mark.light
@pytest.mark.prove
@pytest.mark.parametrize("client", CLIENTS)
def test_a_node_full_of_others_items_convicts_nobody(
    start_locust: Callable, memcached: Callable, client: str
) -> None:
    """It evicts theirs, and may evict ours: whatever is gone from it is excused."""
    full, other = memcached("-m", "8"), memcached("-m", "8")
    with socket.create_connection(full.address, 5.0) as connection:
        for at in range(60_000):
            connection.sendall(b"set old:%d 0 0 90 noreply\r\n%090d\r\n" % (at, at))
        connection.sendall(b"version\r\n")
        connection.recv(100)
    assert stats(full.address, 2.0)["evictions"] > 0
    nodes = ",".join(spell(server.address) for server in (full, other))
    load = [*STEADY, "-t", "12s", "--nodes", nodes, "--client", client]
    result = start_locust(load, cwd=CHECKOUT).finish(90)
    assert result.exit_code in {0, 3}, str(result)
    assert "node1 evicted" in note_on(result), str(result)


@pytest.mark.light
@pytest.mark.prove
@pytest.mark.parametrize("client", CLIENTS)
def test_an_own_node_that_dies_by_itself_convicts_nobody(
    start_locust: Callable, client: str
) -> None:
    """The run ends with the moment before it."""
    process = start_locust([*STEADY, "-t", "40s", "--client", client], cwd=CHECKOUT)
    wait_for(lambda: "running" in process.stdout, "no run")
    time.sleep(8)
    victim = next(each for each in process.members() if each.name() == "memcached")
    victim.send_signal(signal.SIGKILL)
    result = process.finish(60)
    assert result.exit_code == 3, str(result)
    assert "died by itself" in result.check("enough_requests")["why"], str(result)


@pytest.fixture
def twemproxies(nodes: EmbeddedCluster, tmp_path: Path) -> Iterator[str]:
    """Return `--nodes` of two twemproxies, the first in front of two memcached."""
    if shutil.which("nutcracker") is None:
        pytest.fail("twemproxy is not installed: apt-get install nutcracker")
    ports = [free_port("127.0.0.1"), free_port("127.0.0.1")]
    pools = ""
    for port, behind in zip(ports, (nodes.nodes[:2], nodes.nodes[2:]), strict=True):
        pools += f"pool{port}:\n  listen: 127.0.0.1:{port}\n  hash: fnv1a_64\n"
        pools += "  distribution: ketama\n  timeout: 400\n  servers:\n"
        pools += "".join(f"   - {spell(node.direct)}:1\n" for node in behind)
    config = tmp_path / "nutcracker.yml"
    config.write_text(pools)
    command = ["nutcracker", "-c", str(config), "-s", str(free_port("127.0.0.1"))]
    process = subprocess.Popen([*command, "-o", str(tmp_path / "nutcracker.log")])
    yield ",".join(f"127.0.0.1:{port}" for port in ports)
    process.terminate()
    process.wait(5.0)


@pytest.mark.light
@pytest.mark.prove
@pytest.mark.parametrize("client", CLIENTS)
def test_servers_without_statistics_are_judged_by_the_rest(
    judge: Callable, twemproxies: str, client: str
) -> None:
    """It is said at the start; what needs the servers' counts does not apply, the rest holds."""
    load = [*STEADY, "-t", "12s", "--nodes", twemproxies, "--client", client]
    result = judge(load, timeout_s=90, cwd=CHECKOUT)
    assert result.exit_code == 0, str(result)
    assert "node1 does not count as memcached does: it does not answer `stats`" in result.stderr
    for name in ("retry_amplification", "connections_kept"):
        assert result.check(name)["verdict"] == "NOT_APPLICABLE", str(result)
