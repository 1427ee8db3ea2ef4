"""A small harness of its own process: cluster, guard, one fault of each backend; then it waits.

Run as a script by the guard's tests, which kill or halt it. Prints one JSON line when everything
is broken, then beats until it is told to end or is killed.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from cluster.embedded import EmbeddedCluster
from cluster.external import ExternalCluster
from cluster.node import Address
from faults.driver import FaultDriver, build_backends
from faults.guard import Guard
from faults.journal import Journal
from faults.plan import make_plan
from faults.scenario import scenario_from_text

NETWORK = """
name: network
faults:
  - {id: cut, at: 0s, duration: 60s, kind: down, target: {nodes: [node1]}}
  - {id: hole, at: 0s, duration: 60s, kind: timeout, target: {nodes: [node2]}}
"""
PROCESS = """
name: process
faults:
  - {id: crash, at: 0s, duration: 60s, kind: crash, target: {nodes: [node1]}}
  - {id: hang, at: 0s, duration: 60s, kind: hang, target: {nodes: [node2]}}
"""


def main(url: str, addresses: list[Address]) -> None:
    """Break a cluster of our own by its processes and a given one by its proxies."""
    guard = Guard()
    guard.start()
    stop = threading.Event()
    threading.Thread(target=guard.run_heartbeat, args=(stop,), daemon=True).start()
    own = EmbeddedCluster(3, guard=guard)
    own.start()
    given = ExternalCluster(addresses, toxiproxy_url=url, with_proxies=True, guard=guard)
    given.start()
    journals = []
    for text, cluster in ((NETWORK, given), (PROCESS, own)):
        plan = make_plan(
            scenario_from_text(text),
            seed=1,
            nodes=[node.name for node in cluster.nodes],
            time_scale=1,
            recovers_within_s=10,
        )
        now = time.monotonic()
        journal = Journal(epoch=now)
        driver = FaultDriver(plan, build_backends(cluster), journal, guard)
        threading.Thread(target=driver.run_testing, args=(now,), daemon=True).start()
        journals.append(journal)
    while not all(record.confirmed for journal in journals for record in journal.faults):
        time.sleep(0.02)
    told = {
        "guard": guard.pid,
        "children": own.pids(),
        "direct": {node.name: node.direct[1] for node in own.nodes},
    }
    print(json.dumps(told), flush=True)  # noqa: T201 read by the test
    for _ in range(600):
        time.sleep(0.1)
        for event in guard.events():
            print(json.dumps(event), flush=True)  # noqa: T201 read by the test


if __name__ == "__main__":
    main(sys.argv[1], [("127.0.0.1", int(port)) for port in sys.argv[2:]])
