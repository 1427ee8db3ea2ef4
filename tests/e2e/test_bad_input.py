"""Whatever is wrong with a command line: one line on stderr, exit code 2, nothing left running."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import LocustProcess, Result

SCENARIOS = {
    "notyaml.yaml": "name: [unclosed\n",
    "list.yaml": "- a\n- b\n",
    "unknown-key.yaml": "name: x\ndescription: y\nphasess: {}\n",
    "negative.yaml": (
        "name: x\ndescription: y\nphases: {stabilization: 10s, testing: 10s, recovery: 20s}\n"
        "faults: [{id: a, at: 0s, duration: -5s, kind: down, target: {mode: one}}]\n"
    ),
    "no-node.yaml": (
        "name: x\ndescription: y\nphases: {stabilization: 10s, testing: 10s, recovery: 20s}\n"
        "faults: [{id: a, at: 0s, duration: 5s, kind: down, target: {nodes: [node9]}}]\n"
    ),
    "cycle.yaml": (
        "name: x\ndescription: y\nphases: {stabilization: 10s, testing: 30s, recovery: 20s}\n"
        "faults:\n"
        "  - {id: a, after: b, duration: 5s, kind: down, target: {mode: one}}\n"
        "  - {id: b, after: a, duration: 5s, kind: down, target: {mode: one}}\n"
    ),
}

CASES = [
    ("unknown scenario", ["--scenario", "single-node-failur"], "single-node-failure"),
    ("missing scenario file", ["--scenario", "./nowhere.yaml"], "nowhere.yaml"),
    ("scenario is a folder", ["--scenario", "."], "folder"),
    ("scenario is not YAML", ["--scenario", "./notyaml.yaml"], "notyaml.yaml"),
    ("scenario is a list", ["--scenario", "./list.yaml"], "list.yaml"),
    ("unknown key", ["--scenario", "./unknown-key.yaml"], "phasess"),
    ("negative duration", ["--scenario", "./negative.yaml"], "-5s"),
    ("target matches no node", ["--scenario", "./no-node.yaml"], "node9"),
    ("cycle in after", ["--scenario", "./cycle.yaml"], "after"),
    ("malformed node", ["--nodes", "127.0.0.1"], "127.0.0.1"),
    ("bad port", ["--nodes", "127.0.0.1:99999"], "99999"),
    ("duplicate node", ["--nodes", "127.0.0.1:1,127.0.0.1:1"], "127.0.0.1:1"),
    ("unresolvable node", ["--nodes", "no-such-host.invalid:11211"], "no-such-host.invalid"),
    ("closed node", ["--nodes", "127.0.0.1:{closed}"], "{closed}"),
    ("unknown budget", ["--budget", "recover_within=1s"], "recovers_within"),
    ("unparsable budget", ["--budget", "recovers_within=soon"], "soon"),
    ("budget without value", ["--budget", "recovers_within"], "recovers_within"),
    ("time scale 0", ["--scenario", "single-node-failure", "--time-scale", "0"], "--time-scale"),
    ("time scale abc", ["--time-scale", "abc"], "abc"),
    ("time scale too small", ["--scenario", "single-node-failure", "--time-scale", "0.01"], "0."),
    ("target rate", ["--target-rate", "fast"], "fast"),
    ("no users", ["-u", "0"], "user"),
    ("mix", ["--mix", "gett=100"], "get"),
    ("client unknown", ["--client", "memcake"], "memquake"),
    ("client does not import", ["--client", "no_such_module:make"], "no_such_module"),
    ("client is missing", ["--client", "json:nothing"], "nothing"),
    ("client is not callable", ["--client", "json:__name__"], "called"),
    ("client raises", ["--client", "stranger:raises"], "no license"),
    ("client without get", ["--client", "stranger:empty"], "get"),
    ("run time too short", ["--scenario", "single-node-failure", "-t", "5s"], "--run-time"),
    ("unknown option", ["--scenarioo", "none"], "--scenario"),
    ("toxiproxy without nodes", ["--toxiproxy-url", "http://127.0.0.1:1"], "--nodes"),
    ("op timeout", ["--op-timeout", "soon"], "soon"),
    ("prometheus port", ["--prometheus-port", "99999"], "99999"),
]


SIDE_BY_SIDE = 3  # processes that mostly load modules


def try_case(arguments: list[str], expected: str, folder: Path) -> tuple[Result, str]:
    """Run one case in a folder of its own; give the result and what its line should name."""
    folder.mkdir()
    for name, text in SCENARIOS.items():
        (folder / name).write_text(text)
    (folder / "stranger.py").write_text(
        "def raises(nodes, settings):\n    raise ValueError('no license')\n\n\n"
        "def empty(nodes, settings):\n    return object()\n"
    )
    with socket.socket() as taken:  # bound and not listening: nobody can take it meanwhile
        taken.bind(("127.0.0.1", 0))
        closed = str(taken.getsockname()[1])
        filled = [argument.replace("{closed}", closed) for argument in arguments]
        if "-t" not in filled:
            filled += ["-t", "2s"] if "--scenario" not in filled else []
        run = LocustProcess(
            filled, folder=folder, runs_dir=folder / "runs", cwd=folder, headless=True
        )
        try:
            return run.finish(30), expected.replace("{closed}", closed)
        finally:
            run.kill()


@pytest.fixture(scope="module")
def tried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], tuple[Result, str]]]:
    """Start the cases that were chosen, a few side by side; give each one's outcome by its name."""
    folder = tmp_path_factory.mktemp("bad-input")
    chosen = {
        getattr(item, "callspec", None) and item.callspec.id for item in request.session.items
    }
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        begun = {
            name: pool.submit(try_case, arguments, expected, folder / name.replace(" ", "-"))
            for name, arguments, expected in CASES
            if name in chosen
        }
        try:
            yield lambda name: begun[name].result()
        finally:
            pool.shutdown(cancel_futures=True)


def one_line(result, *expected: str) -> None:
    lines = result.stderr.strip().splitlines()
    assert result.exit_code == 2, str(result)
    assert len(lines) == 1, str(result)
    for text in expected:
        assert text in lines[0], lines[0]
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize("name", [pytest.param(case[0], id=case[0]) for case in CASES])
def test_bad_input_gets_one_line(tried: Callable[[str], tuple[Result, str]], name: str) -> None:
    """One line names the thing and the way out; exit code 2; nothing left running."""
    result, expected = tried(name)
    one_line(result, expected)


def test_a_node_that_is_not_memcached(run_locust: Callable) -> None:
    """A port that answers something else is named as such."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        import threading

        threading.Thread(target=answer, daemon=True).start()
        result = run_locust(["--nodes", f"127.0.0.1:{port}", "-t", "2s"], timeout_s=30)
        one_line(result, str(port), "memcached")


def test_a_toxiproxy_that_is_dead(
    run_locust: Callable, memcached: Callable, free_port: Callable
) -> None:
    """A --toxiproxy-url where nobody listens is named."""
    server = memcached()
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ["--nodes", f"127.0.0.1:{server.port}", "--toxiproxy-url", url]
    result = run_locust([*arguments, "-t", "2s"], timeout_s=30)
    one_line(result, url)


def test_an_unwritable_runs_dir(run_locust: Callable, tmp_path: Path) -> None:
    """A runs folder that cannot be made is named."""
    (tmp_path / "file").write_text("")
    result = run_locust(["-t", "2s"], timeout_s=30, runs_dir=tmp_path / "file" / "runs")
    one_line(result, "--runs-dir")


def test_no_worker_joins(run_locust: Callable, free_port: Callable) -> None:
    """A master that no worker joins gives up in one line."""
    arguments = ["--master", "--master-bind-port", str(free_port()), "-t", "2s"]
    result = run_locust([*arguments, "--expect-workers-max-wait", "3"], timeout_s=40)
    one_line(result, "worker")


def test_the_list_of_scenarios(run_locust: Callable) -> None:
    """--list-scenarios prints a line each and ends with 0."""
    result = run_locust(["--list-scenarios"], timeout_s=30)
    assert result.exit_code == 0, str(result)
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert {"none", "single-node-failure", "node-blackhole", "latency-200ms"} <= set(names)
