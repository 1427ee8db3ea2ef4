"""Options and environment to one frozen Settings, validated once.

Rule: whatever is wrong with what the user said ends here, in a `ConfigError` of one line that
names the thing and the way out, before anything is started. This module opens no server and keeps
nothing; it does not know Locust beyond the attribute names of its parsed options.
"""

from __future__ import annotations

import math
import re
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client import BreakerSettings
from cluster.addresses import parse_host
from cluster.binaries import find_memcached, find_toxiproxy
from cluster.errors import ClusterError
from cluster.external import parse_nodes
from cluster.node import Address, spell
from faults.plan import Plan, make_plan
from faults.remote import refuse_foreign_processes, refuse_remote
from faults.scenario import Scenario, load_scenario
from report.reading import read_earlier
from users.clients import ClientOptions, resolve
from users.presets import parse_mix
from verdict.budgets import LIMITS, known_checks, parse_budget
from verdict.model import EarlierRun

DEFAULT_USERS = 40
DEFAULT_RATE = 2000.0  # iterations a second, all users and workers together
DEFAULT_SEED = 1  # a fixed seed: two runs of one command line break the same node
HEADLESS_SECONDS = 60.0  # a headless run of `none` without -t ends by itself after this
MAX_EMBEDDED_NODES = 50  # a process each; more is a typing error
MAX_USERS = 100_000  # as in a scenario file; each is a greenlet with keys of its own
MAX_ROUNDS = 10_000
MAX_SPAWN_RATE = 100.0  # above this Locust warns; spawning is over before the run's second 0 anyway


class ConfigError(Exception):
    """What the user asked for cannot be done. One line: what is wrong and how to mend it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a run is made from. Seconds are floats, rates are iterations a second."""

    addresses: tuple[Address, ...] | None  # None: embedded cluster
    embedded_nodes: int
    toxiproxy_url: str | None
    proxy_bind: str
    proxy_advertise: str | None  # host that workers are told; None: where the proxies listen
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


_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def _number(
    options: Namespace, name: str, *, low: float, high: float = math.inf, what: str
) -> float:
    raw = getattr(options, name)
    flag = "--" + name.replace("_", "-")
    try:
        value = float(raw)
    except (TypeError, ValueError):
        raise ConfigError(f"{flag} {raw!r} is not a number: give {what}") from None
    if not math.isfinite(value) or not low <= value <= high:
        raise ConfigError(f"{flag} {raw} is out of range: give {what}")
    return value


def _integer(options: Namespace, name: str, *, low: int, high: int, what: str) -> int:
    value = _number(options, name, low=low, high=high, what=what)
    if value != int(value):
        flag = "--" + name.replace("_", "-")
        raise ConfigError(f"{flag} {getattr(options, name)} is not a whole number: give {what}")
    return int(value)


def _seconds(options: Namespace, name: str, *, low: float, high: float, default: str = "") -> float:
    raw = str(getattr(options, name) or default).strip()
    flag = "--" + name.replace("_", "-")
    match = _DURATION.fullmatch(raw)
    what = f"a duration such as 500ms or 2s, from {low:g} s to {high:g} s"
    if match is None:
        raise ConfigError(f"{flag} {raw!r} is not a duration: give {what}")
    value = float(match[1]) * _UNITS[match[2]]
    if not low <= value <= high:
        raise ConfigError(f"{flag} {raw} is out of range: give {what}")
    return value


def _choice(options: Namespace, name: str, allowed: Sequence[str]) -> str:
    value = str(getattr(options, name))
    if value not in allowed:
        flag = "--" + name.replace("_", "-")
        raise ConfigError(f"{flag} {value!r} is unknown: give one of {', '.join(allowed)}")
    return value


def _runs_dir(options: Namespace) -> Path:
    path = Path(options.runs_dir).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigError(
            f"--runs-dir {options.runs_dir}: cannot write there ({error.strerror}); "
            "give a folder you may write to"
        ) from None
    return path


def _budgets(options: Namespace, scenario: Scenario) -> dict[str, float]:
    budgets = dict(scenario.budget_limits())
    given = options.budget or []
    for text in [given] if isinstance(given, str) else given:
        name, value = parse_budget(text)
        budgets[name] = value
    return budgets


def _breaker(options: Namespace) -> dict[str, Any]:
    profile = _choice(options, "breaker_profile", _PROFILES)
    values: dict[str, Any] = {"profile": profile}
    if profile == "off":
        values = {"consecutive_failures": _NEVER, "minimum_calls": _NEVER}
    if options.breaker_failures not in (None, ""):
        values["consecutive_failures"] = _integer(
            options, "breaker_failures", low=1, high=100_000, what="a number of failures, 1 or more"
        )
    if options.breaker_open_time not in (None, ""):
        values["open_s"] = _seconds(options, "breaker_open_time", low=0.01, high=3600)
    if options.breaker_probes not in (None, ""):
        values["half_open_probes"] = _integer(
            options, "breaker_probes", low=1, high=1000, what="a number of probes, 1 or more"
        )
    if options.breaker_open_max not in (None, ""):
        values["open_max_s"] = _seconds(options, "breaker_open_max", low=0.01, high=3600)
    if options.breaker_slow_call not in (None, ""):
        values["slow_call_s"] = _seconds(options, "breaker_slow_call", low=0.001, high=600)
    if options.breaker_slow_rate not in (None, ""):
        values["slow_call_rate"] = _number(
            options, "breaker_slow_rate", low=0.001, high=1, what="a share above 0, up to 1"
        )
    for name in ("counted", "ignored"):
        words = str(getattr(options, f"breaker_{name}") or "")
        if words:
            values[name] = [word.strip() for word in words.split(",")]
    try:
        BreakerSettings.of(values)
    except ValueError as error:
        raise ConfigError(f"--breaker-...: {error}") from None
    return values


def _guard_share(options: Namespace) -> float | None:
    if options.breaker_guard in (None, ""):
        return None
    return _number(options, "breaker_guard", low=0, high=0.999, what="a share of the nodes below 1")


_NEVER = 10**9  # failures nobody reaches: a breaker that never opens
_RECOVERS_WITHIN_S = float(LIMITS["recovers_within"].default or 0.0)
_PROFILES = ("default", "catalogue", "off")
_RINGS = ("ketama", "rendezvous", "jump", "modulo")
_FAILOVERS = ("fail", "rehash", "gutter")
_ARRIVALS = ("constant", "poisson")
_PROTECTIONS = ("none", "lock", "lease")


def _failover(options: Namespace, wish: str = "fail") -> tuple[str, tuple[Address, ...]]:
    if options.failover in (None, ""):
        # A foreign client has a failover of its own, whatever the scenario would like.
        failover = "fail" if options.client.startswith("pymemcache-") else wish
    else:
        failover = _choice(options, "failover", _FAILOVERS)
    given = options.gutter_nodes
    if failover == "gutter" and not given:
        raise ConfigError("--failover gutter needs --gutter-nodes: give host:port,... as well")
    if given and failover != "gutter":
        raise ConfigError(f"--gutter-nodes are unused by --failover {failover}: give gutter there")
    if failover != "fail" and options.client.startswith("pymemcache-"):
        raise ConfigError(
            f"--failover {failover} does nothing for {options.client}: leave one of the two out"
        )
    if not given:
        return failover, ()
    try:
        gutter_nodes = tuple(parse_nodes(given))
    except ClusterError as error:
        raise ConfigError(str(error).replace("--nodes", "--gutter-nodes")) from None
    both = set(gutter_nodes) & set(parse_nodes(options.nodes) if options.nodes else ())
    if both:
        raise ConfigError(
            f"--gutter-nodes names {spell(min(both))}, which is among --nodes: "
            "a gutter must be another node"
        )
    return failover, gutter_nodes


def _client_options(options: Namespace, scenario: Scenario) -> ClientOptions:
    wish = scenario.client_settings()
    if options.op_timeout in (None, "") and "op_timeout" in wish:
        op_timeout = float(wish["op_timeout"])
    else:
        op_timeout = _seconds(options, "op_timeout", low=0.001, high=600, default="500ms")
    if options.connect_timeout in (None, "") and "connect_timeout" in wish:
        connect_timeout = float(wish["connect_timeout"])
    else:
        connect_timeout = _seconds(options, "connect_timeout", low=0.001, high=600, default="250ms")
    failover, gutter_nodes = _failover(options, str(wish.get("failover", "fail")))
    return ClientOptions(
        pool_size=_integer(
            options, "pool_size", low=1, high=100_000, what="connections a node, 1 or more"
        ),
        op_timeout=op_timeout,
        connect_timeout=connect_timeout,
        ring=_choice(options, "ring", _RINGS),
        failover=failover,
        gutter_nodes=gutter_nodes,
        breaker=_breaker(options),
        guard_share=_guard_share(options),
    )


def _load(options: Namespace, scenario: Scenario) -> tuple[int, float]:
    users = options.num_users if options.num_users is not None else scenario.users or DEFAULT_USERS
    if not 1 <= users <= MAX_USERS:
        raise ConfigError(f"--users {users} is out of range: give 1 to {MAX_USERS}")
    if options.target_rate in (None, ""):
        rate = DEFAULT_RATE if scenario.target_rate is None else scenario.target_rate
    else:
        rate = _number(
            options, "target_rate", low=0, high=1e7, what="iterations a second, 0 for closed loop"
        )
    return int(users), float(rate)


def _time_scale(options: Namespace) -> float:
    if options.time_scale in (None, ""):
        return 1.0
    what = "a factor above 0, such as 0.3"
    return _number(options, "time_scale", low=1e-6, high=1000, what=what)


def read_seed(options: Namespace) -> int:
    """Give the seed that the command line says, or the usual one."""
    if options.seed in (None, ""):
        return DEFAULT_SEED
    return _integer(options, "seed", low=0, high=2**63, what="a whole number, 0 or more")


def read_rounds(options: Namespace) -> int | None:
    """Give how often everything is run, None for until it is stopped."""
    what = f"how many rounds, 1 to {MAX_ROUNDS}"
    rounds = _integer(options, "repeat", low=1, high=MAX_ROUNDS, what=what)
    if options.loop and rounds != 1:
        raise ConfigError("--loop goes round until it is stopped: leave --repeat out, or --loop")
    return None if options.loop else rounds


def _duration(options: Namespace, plan: Plan | None) -> float | None:
    run_time = getattr(options, "run_time", None)
    if plan is None:
        if run_time:
            return float(run_time)
        return HEADLESS_SECONDS if options.headless else None
    if run_time and run_time < plan.duration_s:
        raise ConfigError(
            f"--run-time {run_time:g} s is shorter than the scenario {plan.scenario} "
            f"({plan.duration_s:g} s): leave --run-time out, or shrink it with --time-scale"
        )
    return None


def _earlier(options: Namespace, scenario: Scenario) -> EarlierRun | None:
    if not options.baseline:
        return None
    runs = read_earlier(Path(options.baseline).expanduser())
    if scenario.name not in runs and not options.suite:
        theirs = ", ".join(runs) or "no scenario that was judged"
        raise ConfigError(
            f"--baseline {options.baseline} is of {theirs}, and this run is of {scenario.name}: "
            "give the outcome of a run of the same scenario"
        )
    return runs.get(scenario.name)


def _user_options(options: Namespace) -> dict[str, Any]:
    """Read what the users do, by the names of LoadSettings."""
    return {
        "mix": parse_mix(options.mix) if options.mix else None,
        "zipf_alpha": _number(
            options, "zipf_alpha", low=0.01, high=10, what="an exponent from 0.01 to 10"
        ),
        "protection": _choice(options, "protection", _PROTECTIONS),
        "origin_latency_s": _seconds(options, "origin_latency", low=0, high=60),
        "stampede_ttl_s": _integer(
            options, "stampede_ttl", low=1, high=86_400, what="whole seconds, 1 or more"
        ),
        "arrivals": _choice(options, "arrivals", _ARRIVALS),
        "value_size": _integer(
            options, "value_size", low=0, high=1_000_000, what="bytes from 0 to 1000000"
        ),
    }


def _advertised(options: Namespace) -> str | None:
    if not options.proxy_advertise:
        return None
    if not options.nodes:
        raise ConfigError(
            "--proxy-advertise without --nodes: the embedded cluster serves this machine alone; "
            "give --nodes host:port,... as well, or leave --proxy-advertise out"
        )
    return parse_host(options.proxy_advertise, "--proxy-advertise")


def _node_control(options: Namespace) -> Path | None:
    if not options.node_control:
        return None
    if not options.nodes:
        raise ConfigError(
            "--node-control without --nodes: the embedded cluster needs no agents; "
            "give --nodes host:port,... as well, or leave --node-control out"
        )
    folder = Path(options.node_control).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigError(
            f"--node-control {options.node_control} is no folder: give the one that the agents "
            "of the nodes (cluster/agent.sh) have their pipes in"
        )
    return folder


def resolve_settings(options: Namespace) -> Settings:
    """Turn Locust's parsed options into Settings.

    Raises ConfigError (or an error of the parts, whose text is such a line as well; see
    `ERRORS`). Touches nothing but the runs folder, which is made when it is missing.
    """
    addresses = tuple(parse_nodes(options.nodes)) if options.nodes else None
    embedded = _integer(
        options,
        "embedded_nodes",
        low=1,
        high=MAX_EMBEDDED_NODES,
        what=f"a number of nodes from 1 to {MAX_EMBEDDED_NODES}",
    )
    if options.toxiproxy_url and addresses is None:
        raise ConfigError(
            "--toxiproxy-url without --nodes: the embedded cluster has a Toxiproxy of its own; "
            "give --nodes host:port,... as well, or leave --toxiproxy-url out"
        )
    scenario = load_scenario(options.scenario, known_checks=known_checks())
    time_scale, seed = _time_scale(options), read_seed(options)
    budgets = _budgets(options, scenario)
    client_options = _client_options(options, scenario)
    users, rate = _load(options, scenario)
    if not rate and options.arrivals != "constant":
        raise ConfigError(
            f"--arrivals {options.arrivals} needs a rate: --target-rate 0 is a closed loop, "
            "which plans no starts"
        )
    names = [f"node{i + 1}" for i in range(len(addresses) if addresses else embedded)]
    plan: Plan | None = None
    if scenario.has_phases:
        drawn = scenario.drawn(seed=seed, nodes=names)
        drawn.check_load(users=users, target_rate=rate, nodes=len(names))
        plan = make_plan(
            scenario,
            seed=seed,
            nodes=names,
            time_scale=time_scale,
            recovers_within_s=budgets.get("recovers_within", _RECOVERS_WITHIN_S),
        )
        seed, time_scale = plan.seed, plan.time_scale  # a plan file has its own
        if addresses is not None and plan.faults:
            refuse_foreign_processes(plan, agents=bool(options.node_control))
            refuse_remote(addresses, options.toxiproxy_url, allow=bool(options.allow_remote_faults))
    return Settings(
        addresses=addresses,
        embedded_nodes=embedded,
        toxiproxy_url=options.toxiproxy_url or None,
        proxy_bind=options.proxy_bind,
        proxy_advertise=_advertised(options),
        node_control=_node_control(options),
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
        duration_s=_duration(options, plan),
        budgets=budgets,
        runs_dir=_runs_dir(options),
        write_report=not options.no_report,
        prometheus_port=None
        if options.prometheus_port in (None, "")
        else _integer(options, "prometheus_port", low=1, high=65535, what="a port, 1 to 65535"),
        earlier=_earlier(options, scenario),
        load=_user_options(options),
    )


def check_machine(settings: Settings) -> None:
    """Look for the programs a run needs before anything is started; raises one line."""
    if settings.addresses is None:
        find_memcached()
        find_toxiproxy()
    elif settings.needs_proxies and not settings.toxiproxy_url:
        find_toxiproxy()
