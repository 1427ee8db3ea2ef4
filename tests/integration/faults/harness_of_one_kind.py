"""A small harness of its own process that breaks one thing at once; then it waits to be killed.

Run as a script: `harness_of_one_kind.py SCENARIO_FILE TOXIPROXY_URL PORT...`. Kinds that need
processes of our own get an embedded cluster, all others the given servers behind the given
Toxiproxy, which outlive this process, so that what was left on them can be seen.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # as in the product

import json  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from cluster.embedded import EmbeddedCluster  # noqa: E402
from cluster.external import ExternalCluster  # noqa: E402
from faults.driver import FaultDriver, build_backends  # noqa: E402
from faults.guard import Guard  # noqa: E402
from faults.journal import Journal  # noqa: E402
from faults.plan import make_plan  # noqa: E402
from faults.scenario import load_scenario  # noqa: E402

OWN = {"process", "cpu"}  # backends that act on processes we started


def main(scenario_file: str, url: str, ports: list[int]) -> None:
    """Break by plan, say so in a line, and stay."""
    guard = Guard()
    guard.start()
    threading.Thread(target=guard.run_heartbeat, args=(threading.Event(),), daemon=True).start()
    addresses = [("127.0.0.1", port) for port in ports]
    plan = make_plan(
        load_scenario(str(Path(scenario_file))),
        seed=1,
        nodes=[f"node{number + 1}" for number in range(len(ports))],
        time_scale=1,
        recovers_within_s=10,
    )
    cluster: EmbeddedCluster | ExternalCluster
    if OWN & {fault.backend for fault in plan.faults}:
        cluster = EmbeddedCluster(len(ports), guard=guard)
    else:
        cluster = ExternalCluster(addresses, toxiproxy_url=url, with_proxies=True, guard=guard)
    cluster.start()
    now = time.monotonic()
    driver = FaultDriver(plan, build_backends(cluster), Journal(epoch=now), guard)
    told = {
        "guard": guard.pid,
        "proxied": [list(node.address) for node in cluster.nodes],
        "instead": driver.stand_ins(),
    }
    print(json.dumps(told), flush=True)  # noqa: T201 read by the test
    driver.run_testing(now)
    time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]])
