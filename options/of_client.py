"""What the user said of the client under test: time-outs, pool, ring, breaker, failover."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from client import BreakerSettings
from cluster.errors import ClusterError
from cluster.external import parse_nodes
from cluster.node import Address, spell
from faults.scenario import Scenario
from memquake.ranges import TIMEOUT, Range
from memquake.units import parse_count, parse_share
from options.words import ConfigError, choice, quantity, seconds
from users.clients import ClientOptions

_NEVER = 10**9  # failures nobody reaches: a breaker that never opens
_PROFILES = ("default", "catalogue", "off")
BREAKER_OPTIONS = (
    "breaker_failures",
    "breaker_open_time",
    "breaker_probes",
    "breaker_open_max",
    "breaker_slow_call",
    "breaker_slow_rate",
    "breaker_counted",
    "breaker_ignored",
    "breaker_guard",
)
"""What can be said of the breaker beside its profile."""
_RINGS = ("ketama", "rendezvous", "jump", "modulo")
_FAILOVERS = ("fail", "rehash", "gutter")


def read_failover(options: Namespace, wish: str = "fail") -> tuple[str, tuple[Address, ...]]:
    """Give the failover (`wish` where nobody said) and the gutter nodes; ConfigError."""
    if options.failover in (None, ""):
        # A foreign client has a failover of its own, whatever the scenario would like.
        failover = "fail" if options.client.startswith("pymemcache-") else wish
    else:
        failover = choice(options, "failover", _FAILOVERS)
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


def read_client_options(options: Namespace, scenario: Scenario) -> ClientOptions:
    """Give what the client under test is built from; the scenario's wishes count last."""
    wish = scenario.client_settings()
    if options.op_timeout in (None, "") and "op_timeout" in wish:
        op_timeout = float(wish["op_timeout"])
    else:
        op_timeout = quantity(options, "op_timeout", TIMEOUT, default="500ms")
    if options.connect_timeout in (None, "") and "connect_timeout" in wish:
        connect_timeout = float(wish["connect_timeout"])
    else:
        connect_timeout = quantity(options, "connect_timeout", TIMEOUT, default="250ms")
    failover, gutter_nodes = read_failover(options, str(wish.get("failover", "fail")))
    return ClientOptions(
        pool_size=quantity(
            options,
            "pool_size",
            Range(parse=parse_count, low=1, high=100_000, what="connections a node, 1 or more"),
        ),
        op_timeout=op_timeout,
        connect_timeout=connect_timeout,
        ring=choice(options, "ring", _RINGS),
        failover=failover,
        gutter_nodes=gutter_nodes,
        breaker=_breaker(options),
        guard_share=_guard_share(options),
    )


def _refuse_idle(options: Namespace, profile: str) -> None:
    """Refuse numbers of a breaker that is off, or that the client under test has not."""
    given = [name for name in BREAKER_OPTIONS if getattr(options, name) not in (None, "")]
    if profile == "off" and given:
        raise ConfigError(
            f"--{given[0].replace('_', '-')} does nothing with --breaker-profile off: "
            "leave one of the two out"
        )
    if profile != "default":
        given.insert(0, "breaker_profile")
    if given and options.client.startswith("pymemcache-"):
        raise ConfigError(
            f"--{given[0].replace('_', '-')} does nothing for {options.client}: "
            "leave one of the two out"
        )


def _breaker(options: Namespace) -> dict[str, Any]:
    profile = choice(options, "breaker_profile", _PROFILES)
    _refuse_idle(options, profile)
    values: dict[str, Any] = {"profile": profile}
    if profile == "off":
        values = {"consecutive_failures": _NEVER, "minimum_calls": _NEVER}
    if options.breaker_failures not in (None, ""):
        values["consecutive_failures"] = quantity(
            options,
            "breaker_failures",
            Range(parse=parse_count, low=1, high=100_000, what="a number of failures, 1 or more"),
        )
    if options.breaker_open_time not in (None, ""):
        values["open_s"] = quantity(options, "breaker_open_time", seconds(0.01, 3600))
    if options.breaker_probes not in (None, ""):
        values["half_open_probes"] = quantity(
            options,
            "breaker_probes",
            Range(parse=parse_count, low=1, high=1000, what="a number of probes, 1 or more"),
        )
    if options.breaker_open_max not in (None, ""):
        values["open_max_s"] = quantity(options, "breaker_open_max", seconds(0.01, 3600))
    if options.breaker_slow_call not in (None, ""):
        values["slow_call_s"] = quantity(options, "breaker_slow_call", TIMEOUT)
    if options.breaker_slow_rate not in (None, ""):
        values["slow_call_rate"] = quantity(
            options,
            "breaker_slow_rate",
            Range(parse=parse_share, low=0.001, high=1, what="a share above 0, up to 1"),
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
    return quantity(
        options,
        "breaker_guard",
        Range(parse=parse_share, low=0, high=0.999, what="a share of the nodes below 1"),
    )
