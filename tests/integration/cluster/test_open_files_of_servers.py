"""Real servers in a process that may have few files open: what they take, and when it is said."""

from __future__ import annotations

import subprocess
import sys

from memquake.paths import CHECKOUT

FEW = """
import contextlib, resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
from cluster.embedded import EmbeddedCluster
from cluster.errors import ClusterError
from cluster.probe import stats
with EmbeddedCluster(1) as cluster:
    (node,) = cluster.nodes
    print(stats(node.direct, 1)["max_connections"])
    held = []
    for _ in range(110):  # each is two files of toxiproxy-server
        held.append(socket.create_connection(node.address, timeout=1))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            cluster.check()
        except ClusterError as why:
            print(why)
            break
        time.sleep(0.02)
    for sock in held:
        sock.close()
"""


def test_a_toxiproxy_without_a_free_file_is_named() -> None:
    """It accepts nothing more, and that is nobody's fault but the machine's."""
    done = subprocess.run(
        [sys.executable, "-c", FEW],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    connections, line = done.stdout.splitlines()
    assert connections == "136"  # 200 without those that a node keeps for itself
    assert line.startswith("toxiproxy-server has ")
    assert "of 200 files open: raise the hard limit" in line
