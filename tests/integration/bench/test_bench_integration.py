"""The parts of the benchmark really do what they claim, on real servers and real processes."""

import json
import os
import socket
import sys
import time
from collections import Counter

import pytest

from bench import batches, outage, processes
from bench.__main__ import main
from bench.contenders import Task, run
from bench.nodes import BenchError, counters, running
from bench.sampler import by_function, sampling
from bench.silent_server import most_at_once, silent_server

# `#!` takes no path with a space: to sh the next line is a command, to Python a text.
FAKE_MEMTIER = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import socket, sys
words = sys.argv
address = (words[words.index("-s") + 1], int(words[words.index("-p") + 1]))
with socket.create_connection(address, timeout=5) as connection:
    for number in range(200):
        connection.sendall(b"get memtier:%d\\r\\n" % (1 + number))
        assert b"VALUE" in connection.recv(4096)
print("Sets 0.00 --- ---")
print("Gets {speed} {speed} 0.00")
"""


@pytest.mark.parametrize(
    "peer", ["B", *(pytest.param(peer, marks=pytest.mark.prove) for peer in ("C", "F", "H"))]
)
def test_a_peer_measures_what_the_servers_have_counted(peer):
    """Every reported operation is one the nodes saw; where nothing is deleted, nothing misses."""
    with running(3) as nodes:
        measured = run(peer, Task(nodes=nodes, users=4, seconds=1.0))
        commands, misses = counters(nodes)
    assert 0 < measured.operations <= commands
    assert misses == 0 or peer == "F"
    assert measured.cpu_us_per_operation > 0
    assert measured.operations_per_s == pytest.approx(measured.operations / measured.seconds)


def test_a_peer_that_cannot_reach_its_nodes_ends_in_one_line(monkeypatch):
    """A dead node is an error that names the contender, not a figure."""
    monkeypatch.setattr("bench.contenders.counters", lambda _: (0, 0))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()
    with pytest.raises(BenchError, match=r"^C ended with exit code 1: .*refused"):
        run("C", Task(nodes=[dead], users=2, seconds=1.0))


@pytest.fixture
def memtier(tmp_path, monkeypatch):
    """Put a program on PATH that gets 200 keys and says what it was told to say."""

    def install(speed):
        program = tmp_path / "memtier_benchmark"
        program.write_text(FAKE_MEMTIER.format(python=sys.executable, speed=speed))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return install


def test_memtier_is_measured_where_it_is_on_path(memtier):
    """Its keys are there before it asks for them, and its CPU time is the kernel's."""
    memtier(200.0)
    with running(1) as nodes:
        measured = run("D", Task(nodes=nodes, users=2, seconds=1.0))
    assert measured.operations_per_s == 200.0
    assert measured.cpu_us_per_operation > 0


def test_memtier_that_claims_more_than_the_server_counted_is_refused(memtier):
    """Whatever a contender prints, the servers are the witness."""
    memtier(1_000_000.0)
    with running(1) as nodes, pytest.raises(BenchError, match=r"^D reports 1000000 operations"):
        run("D", Task(nodes=nodes, users=2, seconds=1.0))


def test_a_load_process_that_hangs_is_ended(monkeypatch):
    """The benchmark gets its line, and nothing is left running."""
    monkeypatch.setattr(processes, "SPARE_S", 0.5)
    started = time.monotonic()
    with pytest.raises(BenchError, match="the sleeper did not end"):
        processes.execute(
            "the sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.1
        )
    assert time.monotonic() - started < 30


def test_a_silent_server_counts_the_requests_that_wait_together():
    """A connection without a request is no call, and one that is given up makes room."""
    with silent_server() as server:
        quiet = socket.create_connection(server.address)
        for _ in range(2):
            callers = [socket.create_connection(server.address) for _ in range(3)]
            for caller in callers:
                caller.sendall(b"mg k v\r\n")
            time.sleep(0.2)  # the server is another thread: it needs a moment to have read them
            for caller in callers:
                caller.close()
            time.sleep(0.2)
        quiet.close()
    assert len(server.waits) == 6
    assert most_at_once(server.waits, 0.0) == 3


def burn(seconds):
    """Use the CPU."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


def test_the_sampler_finds_where_the_time_goes():
    """A function that uses all of the CPU time has nearly all of the samples."""
    samples = Counter()
    with sampling(samples):
        burn(0.5)
    first = by_function(samples)[0]
    assert first.name.endswith("burn")
    assert first.share > 0.5


def test_pool_and_breaker_are_measured_and_written_as_json(tmp_path, capsys):
    """P3 alone, in little time: exit code 0 whatever the goals say, and a file with all of it."""
    path = tmp_path / "found.json"
    arguments = ["--only", "P3", "--rounds", "1", "--seconds", "1", "--users", "5"]
    assert main([*arguments, "--json", str(path)]) == 0
    figures = json.loads(path.read_text(encoding="utf-8"))["parts"]["P3"]["figures"]
    assert len(figures) == 5
    assert all(figure["low"] <= figure["median"] <= figure["high"] for figure in figures.values())
    assert "pool + breaker over a bare connection" in capsys.readouterr().out


@pytest.mark.prove
def test_batches_are_timed_through_a_slow_network_and_past_a_dead_node():
    """Every batch is there with its times, and some of them met an open breaker."""
    found = batches.measure_shape()
    assert len(batches.shape_figures(found)) == 5
    assert all(batch["complete"] and batch["failed_right"] for batch in found["hole"])
    assert min(found["far"]["single_s"]) >= 0.1


@pytest.mark.prove
def test_an_outage_is_measured_from_the_calls_and_from_the_server():
    """One short round has a value for each of the four figures."""
    section = outage.measure(rounds=1, seconds=3.0, users=1, say=lambda _: None)
    assert len(section.figures) == 4
    (one,) = section.details["rounds"]
    assert one["most_probes"] >= 1
    assert one["healthy_share"] > 0
