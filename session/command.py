"""What a run was made with, as options a replay can give again; a part of plan.yaml.

Named as on the command line, without the dashes. What a scenario or a default has decided is
written out, so that the same is run again when a default has changed. No port and no time of day:
nodes of the user's own are only said to be such. The one path is the folder in which the module of
`--client` was found: without it a run could only be repeated from there.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from options.of_client import BREAKER_OPTIONS
from settings import Settings
from users.clients import folder_of

REPLAYED = (
    "arrivals",
    "failover",
    "ring",
    "breaker_profile",
    *BREAKER_OPTIONS,
    "mix",
    "zipf_alpha",
    "protection",
    "origin_latency",
    "stampede_ttl",
    "value_size",
    "budget",
)
"""Options that are given again as they were given."""

RESOLVED = (
    "client",
    "users",
    "target_rate",
    "pool_size",
    "op_timeout",
    "connect_timeout",
    "user_classes",
    "processes",
    "run_time",
    "nodes",
)
"""Options that are given again as they turned out to be."""

NOT_REPLAYED: Mapping[str, str] = {
    "scenario": "is the plan itself",
    "seed": "stands in the plan",
    "time_scale": "stands in the plan",
    "embedded_nodes": "is the number of the plan's nodes",
    "baseline": "is a file of this machine",
    "gutter_nodes": "are ports",
    "toxiproxy_url": "is a port",
    "proxy_bind": "belongs to the machine",
    "proxy_advertise": "belongs to the machine",
    "node_control": "belongs to the machine",
    "tls_ca": "is a file of this machine",
    "tls_client_cert": "is a file of this machine",
    "tls_client_key": "is a file of this machine",
    "tls_server_name": "belongs to the nodes",
    "auth_token_file": "is a file of this machine",
    "allow_remote_faults": "is to be said each time",
    "runs_dir": "belongs to the machine",
    "prometheus_port": "is a port",
    "no_report": "changes no run",
    "list_scenarios": "makes no run",
    "suite": "is not one run",
    "repeat": "is not one run",
    "retries": "is not one run",
    "loop": "is not one run",
    "keep_going": "is not one run",
}
"""Options that are not, and why."""

GIVEN_NODES = "given"  # nodes of the user's own, which are ports and stay out of the file


def run_options(options: Namespace, settings: Settings, *, workers: int) -> dict[str, Any]:
    """Give the options of a run.

    `workers` is how many processes generate load beside the master, 0 for none.
    """
    client = settings.client_options
    found: dict[str, Any] = {
        "client": settings.client,
        "users": settings.users,
        "target-rate": settings.target_rate,
        "pool-size": client.pool_size,
        "op-timeout": client.op_timeout,
        "connect-timeout": client.connect_timeout,
    }
    if folder := folder_of(settings.client):
        found["client-folder"] = str(folder)
    for name in REPLAYED:
        value = getattr(options, name, None)
        if value not in (None, "", []):
            found[name.replace("_", "-")] = _plain(value)
    if getattr(options, "user_classes", None):
        found["user-classes"] = [str(name) for name in options.user_classes]
    if workers:
        found["processes"] = workers
    if settings.duration_s is not None:
        found["run-time"] = f"{settings.duration_s:g}s"
    if settings.addresses is not None:
        found["nodes"] = GIVEN_NODES
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return value if isinstance(value, str | bool | int | float) else str(value)
