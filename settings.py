"""Options and environment to one frozen Settings, validated once.

Rule: whatever is wrong with what the user said ends here, in a `ConfigError` of one line that
names the thing and the way out, before anything is started. This module opens no server and keeps
nothing; it does not know Locust beyond the attribute names of its parsed options.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.binaries import find_memcached, find_toxiproxy
from cluster.direct import NodeAccess
from cluster.external import parse_nodes
from cluster.node import Address
from faults.plan import Plan, make_plan
from faults.remote import refuse_foreign_processes, refuse_remote
from faults.scenario import Scenario, load_scenario
from memquake.limits import RECOVERS_WITHIN_S
from memquake.ranges import Range
from memquake.units import parse_count
from options.of_client import read_client_options
from options.of_nodes import (
    read_access,
    read_advertised,
    read_node_control,
    refuse_unix_behind_proxies,
)
from options.of_run import (
    read_budgets,
    read_duration,
    read_earlier,
    read_load,
    read_retries,
    read_rounds,
    read_runs_dir,
    read_seed,
    read_time_scale,
    read_user_options,
)
from options.words import ConfigError, quantity
from users.clients import ClientOptions, resolve
from verdict.model import EarlierRun

__all__ = [
    "MAX_SPAWN_RATE",
    "ConfigError",
    "Settings",
    "check_machine",
    "read_retries",
    "read_rounds",
    "read_seed",
    "resolve_settings",
]

MAX_EMBEDDED_NODES = 50  # a process each; more is a typing error
MAX_SPAWN_RATE = 100.0  # above this Locust warns; spawning is over before the run's second 0 anyway


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a run is made from. Seconds are floats, rates are iterations a second."""

    addresses: tuple[Address, ...] | None  # None: embedded cluster
    embedded_nodes: int
    toxiproxy_url: str | None
    proxy_bind: str
    proxy_advertise: str | None  # host that workers are told; None: where the proxies listen
    access: NodeAccess  # what --nodes want before they answer
    node_control: Path | None  # folder of the agents that may kill and halt --nodes
    allow_remote_faults: bool
    client: str
    client_factory: Callable[..., Any]
    client_options: ClientOptions
    scenario: Scenario
    scenario_given: str  # as the user named it: a name or a path
    seed: int
    time_scale: float
    plan: Plan | None  # None: no phases, the whole run is the baseline
    users: int
    target_rate: float
    duration_s: float | None  # of a run without phases; None: until somebody stops it
    budgets: Mapping[str, float]  # what the user or the scenario set, over the defaults
    runs_dir: Path
    write_report: bool
    prometheus_port: int | None
    earlier: EarlierRun | None = None  # what --baseline gives this scenario to be held against
    load: Mapping[str, Any] = field(default_factory=dict)  # for the users: mix, zipf_alpha, ...

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of the nodes, known before any of them is started."""
        count = self.embedded_nodes if self.addresses is None else len(self.addresses)
        return tuple(f"node{i + 1}" for i in range(count))

    @property
    def needs_proxies(self) -> bool:
        """Whether a fault of the scenario works through Toxiproxy, or on the ports of proxies.

        Faults of the kernel hit the proxies' ports only: so the harness still sees the nodes, and
        nobody else who uses them is hit.
        """
        plan, backends = self.plan, ("toxiproxy", "kernel")
        return plan is not None and (plan.doors > 1 or any(map(plan.needs_backend, backends)))


def resolve_settings(options: Namespace) -> Settings:
    """Turn Locust's parsed options into Settings.

    Raises ConfigError (or an error of the parts, whose text is such a line as well; see
    `ERRORS`). Touches nothing but the runs folder, which is made when it is missing.
    """
    addresses = tuple(parse_nodes(options.nodes)) if options.nodes else None
    embedded = _read_embedded(options, addresses)
    scenario = load_scenario(options.scenario)
    budgets = read_budgets(options, scenario)
    client_options = read_client_options(options, scenario)
    users, rate = read_load(options, scenario)
    if not rate and options.arrivals != "constant":
        raise ConfigError(
            f"--arrivals {options.arrivals} needs a rate: --target-rate 0 is a closed loop, "
            "which plans no starts"
        )
    time_scale, seed = read_time_scale(options), read_seed(options)
    names = [f"node{i + 1}" for i in range(len(addresses) if addresses else embedded)]
    plan: Plan | None = None
    if scenario.has_phases:
        scenario.drawn(seed=seed, nodes=names).check_load(
            users=users, target_rate=rate, nodes=len(names)
        )
        plan = make_plan(
            scenario,
            seed=seed,
            nodes=names,
            time_scale=time_scale,
            recovers_within_s=budgets.get("recovers_within", RECOVERS_WITHIN_S),
        )
        seed, time_scale = plan.seed, plan.time_scale  # a plan file has its own
        _refuse_foreign(options, plan, addresses)
    settings = Settings(
        addresses=addresses,
        embedded_nodes=embedded,
        toxiproxy_url=options.toxiproxy_url or None,
        proxy_bind=options.proxy_bind,
        proxy_advertise=read_advertised(options),
        access=read_access(options, addresses),
        node_control=read_node_control(options),
        allow_remote_faults=bool(options.allow_remote_faults),
        client=options.client,
        client_factory=resolve(options.client),
        client_options=client_options,
        scenario=scenario,
        scenario_given=str(options.scenario),
        seed=seed,
        time_scale=time_scale,
        plan=plan,
        users=users,
        target_rate=rate,
        duration_s=read_duration(options, plan),
        budgets=budgets,
        runs_dir=read_runs_dir(options),
        write_report=not options.no_report,
        prometheus_port=_read_port(options),
        earlier=read_earlier(options, scenario),
        load=read_user_options(options),
    )
    if settings.needs_proxies:
        refuse_unix_behind_proxies(addresses, scenario.name)
    return settings


def _read_embedded(options: Namespace, addresses: Sequence[Address] | None) -> int:
    """Return how many nodes are started where none are given."""
    if options.toxiproxy_url and addresses is None:
        raise ConfigError(
            "--toxiproxy-url without --nodes: the embedded cluster has a Toxiproxy of its own; "
            "give --nodes host:port,... as well, or leave --toxiproxy-url out"
        )
    what = f"a number of nodes from 1 to {MAX_EMBEDDED_NODES}"
    return quantity(
        options,
        "embedded_nodes",
        Range(parse=parse_count, low=1, high=MAX_EMBEDDED_NODES, what=what),
    )


def _refuse_foreign(options: Namespace, plan: Plan, addresses: Sequence[Address] | None) -> None:
    """Refuse faults of nodes that are given, where nobody has allowed or can carry them out."""
    if addresses is not None and plan.faults:
        refuse_foreign_processes(plan, agents=bool(options.node_control))
        refuse_remote(addresses, options.toxiproxy_url, allow=bool(options.allow_remote_faults))


def _read_port(options: Namespace) -> int | None:
    if options.prometheus_port in (None, ""):
        return None
    what = "a port, 1 to 65535"
    return quantity(
        options, "prometheus_port", Range(parse=parse_count, low=1, high=65535, what=what)
    )


def check_machine(settings: Settings) -> None:
    """Look for the programs a run needs before anything is started; raises one line."""
    if settings.addresses is None:
        find_memcached()
        find_toxiproxy()
    elif settings.needs_proxies and not settings.toxiproxy_url:
        find_toxiproxy()
