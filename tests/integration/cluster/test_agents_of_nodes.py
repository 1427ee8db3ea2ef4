"""An agent does to its own memcached what it is told, says what has become of it, and no more."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.agents import AgentCluster
from cluster.errors import ClusterError
from cluster.probe import RefusedError, SilentError, stats, version
from faults.backends.registry import build_backends
from faults.guard import Guard
from faults.planned import PlannedFault
from memquake.paths import NODE_AGENT
from tests.conftest import choose_free_port

AGENT = NODE_AGENT
HOSTS = ("127.0.0.1", "127.0.0.2")


class Agents:
    """Two nodes of somebody else, each started by an agent."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.addresses = [(host, choose_free_port()) for host in HOSTS]
        self.processes = [
            subprocess.Popen(
                ["sh", str(AGENT), host, program, "-l", host, "-p", str(port), "-U", "0", *user()],
                env={**os.environ, "AGENT_FOLDER": str(folder)},
                stdin=subprocess.DEVNULL,
            )
            for host, port in self.addresses
        ]

    def memcached(self, index: int) -> psutil.Process:
        """Give the memcached of an agent."""
        children = psutil.Process(self.processes[index].pid).children(recursive=True)
        return next(child for child in children if child.name() == "memcached")

    def stop(self) -> None:
        """End everything, halted or not."""
        for process in self.processes:
            if process.poll() is None:
                agent = psutil.Process(process.pid)
                agent.suspend()  # else it may start another one meanwhile
                children = agent.children(recursive=True)
                agent.kill()
                for child in children:
                    child.kill()
            process.wait(5)


def user() -> list[str]:
    return ["-u", "root"] if os.geteuid() == 0 else []  # memcached refuses root unless told


@pytest.fixture
def agents(tmp_path: Path, binary: Callable[[str], str], bounded: Callable) -> Iterator[Agents]:
    """Give two nodes with agents that are ready."""
    started = Agents(tmp_path, binary("memcached"))
    try:
        for host in HOSTS:
            bounded((tmp_path / f"{host}.state").exists, what=f"the agent of {host}")
        yield started
    finally:
        started.stop()


@pytest.fixture
def cluster(agents: Agents, bounded: Callable) -> Iterator[AgentCluster]:
    """Give the cluster of these nodes, started."""
    for address in agents.addresses:
        bounded(lambda address=address: answers(address), what=f"memcached at {address}")
    with AgentCluster(agents.addresses, agents.folder) as started:
        yield started


def answers(address: tuple[str, int]) -> bool:
    try:
        return bool(version(address, 0.5))
    except OSError:
        return False


def test_a_node_dies_and_comes_back_empty(cluster: AgentCluster, bounded: Callable) -> None:
    """Another process on the same port; the other node is left alone."""
    one, other = cluster.nodes
    pids = [stats(node.direct, 1)["pid"] for node in cluster.nodes]
    cluster.kill_node("node1")
    bounded(lambda: not cluster.is_alive("node1"), what="a dead node1")
    with pytest.raises(RefusedError):
        version(one.direct, 0.5)
    assert cluster.is_alive("node2")
    cluster.restart_node("node1")
    assert stats(one.direct, 1)["pid"] != pids[0]
    assert stats(other.direct, 1)["pid"] == pids[1]


def test_a_node_stands_still_and_goes_on(cluster: AgentCluster, bounded: Callable) -> None:
    """The same process, which takes connections and says nothing meanwhile."""
    node = cluster.nodes[1]
    pid = stats(node.direct, 1)["pid"]
    cluster.pause_node("node2")
    bounded(lambda: cluster.is_paused("node2"), what="a halted node2")
    with pytest.raises(SilentError):
        version(node.direct, 0.3)
    cluster.resume_node("node2")
    bounded(lambda: not cluster.is_paused("node2"), what="a running node2")
    assert stats(node.direct, 1)["pid"] == pid


def test_wishes_that_come_at_once_leave_a_living_node(cluster: AgentCluster) -> None:
    """A kill and a mend before the node was gone, a mend of what runs, words nobody knows."""
    pipe = cluster._pipe("127.0.0.1")
    for words in (("kill", "mend"), ("mend", "mend"), ("kill", "halt", "mend")):
        pipe.write_text("nonsense\n\nkill\nmend\nmore nonsense 7\n")
        for word in words:
            cluster._tell("127.0.0.1", word)
        cluster.restart_node("node1")
        assert answers(cluster.nodes[0].direct), words


def test_a_node_that_dies_by_itself_ends_its_agent(agents: Agents, cluster: AgentCluster) -> None:
    """So that its container ends and is started again, as without an agent."""
    agents.memcached(0).kill()
    assert agents.processes[0].wait(5) == 1
    assert agents.processes[1].poll() is None


def test_what_a_killed_run_left_is_mended_before_the_next(
    agents: Agents, cluster: AgentCluster, bounded: Callable
) -> None:
    """Halted and dead nodes do not make the next start fail."""
    cluster.pause_node("node1")
    cluster.kill_node("node2")
    bounded(lambda: not cluster.is_alive("node2"), what="a dead node2")
    with AgentCluster(agents.addresses, agents.folder) as again:
        assert all(answers(node.direct) for node in again.nodes)


def test_a_stop_leaves_every_node_as_it_should_be(agents: Agents, bounded: Callable) -> None:
    """Whatever was done to it last."""
    with AgentCluster(agents.addresses, agents.folder) as cluster:
        cluster.kill_node("node1")
        bounded(lambda: not cluster.is_alive("node1"), what="a dead node1")
    bounded(lambda: answers(agents.addresses[0]), what="node1 again")


@pytest.mark.parametrize("kind", ["crash", "hang"])
def test_the_guard_mends_what_a_dead_harness_left(
    cluster: AgentCluster, bounded: Callable, kind: str
) -> None:
    """Its undo is a word for the agent; here its deadline passes."""
    backend = build_backends(cluster)["process"]
    fault = made(kind)
    guard = Guard()
    guard.start()
    try:
        for name, undo in backend.undos(fault).items():
            guard.register(name, undo, deadline_s=2.0)
        backend.inject(fault)
        assert backend.read_back(fault)
        assert backend.observe(fault)
        bounded(lambda: answers(cluster.nodes[0].direct), what="the guard's undo")
    finally:
        guard.close()


def test_faults_of_processes_and_of_the_way_go_together(
    agents: Agents, cluster: AgentCluster
) -> None:
    """With proxies in front, a dead node is dead behind its proxy too."""
    with AgentCluster(agents.addresses, agents.folder, with_proxies=True) as proxied:
        backends = build_backends(proxied)
        assert {"process", "toxiproxy"} <= set(backends)
        assert all(node.address != node.direct for node in proxied.nodes)
        fault = made("crash")
        backends["process"].inject(fault)
        backends["process"].read_back(fault)
        assert not answers(proxied.nodes[0].address)
        backends["process"].heal(fault)
        assert backends["process"].observe_healed(fault)


def test_the_backend_heals_and_proves_it(cluster: AgentCluster) -> None:
    """As with nodes of our own."""
    backend = build_backends(cluster)["process"]
    assert "cpu" not in build_backends(cluster)
    for kind in ("crash", "hang"):
        fault = made(kind)
        backend.inject(fault)
        backend.read_back(fault)
        backend.observe(fault)
        assert backend.leftovers()
        backend.heal(fault)
        backend.read_back_healed(fault)
        backend.observe_healed(fault)
        assert backend.leftovers() == []


def made(kind: str) -> PlannedFault:
    from faults.plan import make_plan
    from faults.scenario import load_scenario

    plan = make_plan(
        load_scenario(f"node-{kind}"),
        seed=1,
        nodes=["node1"],
        time_scale=1,
        recovers_within_s=10,
    )
    return plan.faults[0]


def refusal(addresses: list[tuple[str, int]], folder: Path) -> str:
    with pytest.raises(ClusterError) as caught:
        AgentCluster(addresses, folder).start()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_node_without_an_agent_is_named(tmp_path: Path, memcached: Callable[..., Any]) -> None:
    """One line with the host and the way out, at once."""
    began = time.monotonic()
    line = refusal([memcached().address], tmp_path)
    assert "no agent of 127.0.0.1" in line
    assert "--node-control" in line
    assert time.monotonic() - began < 1


def test_an_agent_that_is_gone_is_named(agents: Agents) -> None:
    """Its pipe and its last words are there, but nobody reads, or nobody hears.

    A child of the agent's shell may hold the pipe for a moment longer than the shell itself.
    """
    agents.memcached(0).kill()
    agents.processes[0].wait(5)
    line = refusal(agents.addresses, agents.folder)
    host = agents.addresses[0][0]
    assert "nobody reads its pipe" in line or f"the agent of {host} did not hear" in line, line


def test_two_nodes_of_one_host_are_refused(tmp_path: Path) -> None:
    """Agents are known by hosts."""
    line = refusal([("127.0.0.1", 1), ("127.0.0.1", 2)], tmp_path)
    assert "127.0.0.1 has several" in line
