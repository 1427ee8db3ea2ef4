"""The harness is killed at random moments of every kind of fault; within 3 s all is as before.

For `make prove`; `ROUNDS=5` repeats it that often. What was left is looked for with eyes that are
not the harness's: Toxiproxy's API, the servers' own statistics, nft, cgroups, the process table.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.probe import ProbeError, stats, version
from cluster.toxiproxy import Toxiproxy
from faults.drawable import DRAWABLE
from faults.kinds import KINDS
from memquake.paths import CHECKOUT
from tests import processes

SCRIPT = Path(__file__).parent / "harness_of_one_kind.py"
MARK = "MEMQUAKE_KILL_TEST"
WITHIN_S = 3.0  # the promise
LATEST_S = 2.0  # after the start of the fault; it is in place and proved by then
SEED = int(os.environ.get("SEED", "1"))
MOMENTS = int(os.environ.get("MOMENTS", "100")) * int(os.environ.get("ROUNDS", "1"))
SEEN_SHARE = 0.25  # of the kills must have hit something that an outsider can see to be broken
NODES = 2

# The load processes carry these out on themselves: with them everything of theirs is gone.
KINDS_ON_NODES = sorted(
    name for name, kind in KINDS.items() if kind.backend != "workers" and name in DRAWABLE
)


def scenario_of(kind: str, rng: random.Random) -> dict[str, Any]:
    """Give a scenario that breaks one node, or both, by this kind at once."""
    fault = {"id": "it", "at": "0s", "duration": "30s", "kind": kind}
    fault["target"] = {"mode": rng.choice(["one", "all"])}
    fault |= {name: values.draw(rng) for name, values in DRAWABLE[kind].items()}
    return {"name": f"kill-{kind.replace('_', '-')}", "faults": [fault]}


class Place:
    """The servers that outlive the harness, and how they looked before."""

    def __init__(self, url: str, ports: list[int]) -> None:
        self.api = Toxiproxy(url)
        self.url = url
        self.ports = ports
        self.before = {port: stats(("127.0.0.1", port), 1) for port in ports}

    def problems(self, mark: str, pid: int) -> list[str]:
        """Say what is not as before, in one line each."""
        found = [
            f"process left: {line}"
            for line in processes.describe(processes.marked(MARK, mark)).splitlines()
        ]
        for proxy in self.api.proxies().values():
            found += [] if proxy.enabled else [f"{proxy.name} is disabled"]
            found += [f"{toxic.name} on {proxy.name}" for toxic in proxy.known_toxics]
        for port in self.ports:
            found += self._server_problems(port)
        return found + left_in_kernel(pid)

    def _server_problems(self, port: int) -> list[str]:
        try:
            version(("127.0.0.1", port), 0.3)
            now, before = stats(("127.0.0.1", port), 0.5), self.before[port]
        except ProbeError as why:
            return [f"server on {port}: {why}"]
        found = []
        if now["limit_maxbytes"] != before["limit_maxbytes"]:
            found.append(f"memory limit on {port} is {now['limit_maxbytes']}")
        if now["curr_connections"] > before["curr_connections"] + 20:
            found.append(f"{now['curr_connections']} connections on {port}")
        return found

    def end(self) -> None:
        """Let go of the API."""
        self.api.close()


def left_in_kernel(pid: int) -> list[str]:
    """Name tables of the packet filter and groups of processes that carry the harness's pid."""
    found = []
    nft = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if nft and os.geteuid() == 0:
        tables = subprocess.run(
            [nft, "list", "tables"], capture_output=True, text=True, timeout=5, check=False
        )
        found += [line for line in tables.stdout.splitlines() if f"memquake_{pid}_" in line]
    groups = Path("/sys/fs/cgroup")
    for pattern in ("memquake_*", "*/memquake_*"):
        found += [
            f"group {path}" for path in groups.glob(pattern) if f"memquake_{pid}_" in path.name
        ]
    return found


@pytest.fixture
def place(memcached: Callable[..., Any], toxiproxy: Any) -> Iterator[Place]:
    place = Place(toxiproxy.url, [memcached().port for _ in range(NODES)])
    yield place
    place.end()


def kill_once(place: Place, kind: str, rng: random.Random, folder: Path) -> tuple[str, bool]:
    """Break, kill at a random moment, look.

    Gives what is wrong after 3 s, "" when nothing is, and whether anything was seen to be broken
    at the moment of the kill.
    """
    file = folder / f"{kind}.yaml"
    scenario = scenario_of(kind, rng)
    file.write_text(yaml.safe_dump(scenario))
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(file), place.url, *map(str, place.ports)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), MARK: mark},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line:
            return f"{scenario}: it did not start: {process.stderr.read()[-300:]}", False
        wait_s = rng.uniform(0, LATEST_S)
        time.sleep(wait_s)
        broken = any(
            not line.startswith("process left") for line in place.problems(mark, process.pid)
        )
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        process.wait(5)
        while problems := place.problems(mark, process.pid):
            if time.monotonic() - killed > WITHIN_S:
                return f"{scenario} killed after {wait_s:.2f} s: {'; '.join(problems)}", broken
            time.sleep(0.05)
        return "", broken
    finally:
        process.kill()
        process.wait(5)
        process.stdout.close()
        process.stderr.close()
        for left in processes.marked(MARK, mark):
            left.kill()


@pytest.mark.prove
@pytest.mark.light
def test_killed_at_a_hundred_random_moments(place: Place, tmp_path: Path) -> None:
    """100 of 100: no process, toxic, table, group, halted server, crowd or small limit is left."""
    rng = random.Random(SEED)
    bad, seen = [], 0
    for number in range(MOMENTS):
        kind = KINDS_ON_NODES[number % len(KINDS_ON_NODES)]
        problem, broken = kill_once(place, kind, rng, tmp_path)
        seen += broken
        if problem:
            bad.append(f"{number} {problem}")
    assert not bad, f"{len(bad)} of {MOMENTS}, seed {SEED}:\n" + "\n".join(bad)
    assert seen >= SEEN_SHARE * MOMENTS, f"only {seen} of {MOMENTS} kills hit something broken"
