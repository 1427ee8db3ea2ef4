"""The client's numbers, each with its reason, validated once when they are made.

Times are float seconds. This module decides nothing: pool, breaker and ring read their part.
"""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from client.addresses import parse_address
from client.breaker_settings import BreakerSettings
from client.checking import (
    check_count,
    check_minimum,
    check_seconds,
    check_serde,
    check_tls,
    check_token,
    unknown,
)

OP_TIMEOUT_S = 0.5  # a cache slower than this is no help to its caller
CONNECT_TIMEOUT_S = 0.25  # a connect is one round trip; half the operation is left for the request
POOL_SIZE = 100  # per node; above the users of a load process, so the pool is not the limit
POOL_LIFETIME_S = 60.0  # connections are renewed, so a node behind a moved address is found
POOL_LIFETIME_JITTER = 0.1  # spread over this share, so they are not all renewed at once
POOL_MAINTENANCE_S = 1.0  # how often idle connections are looked after in the background
DNS_KEEP_S = 1.0  # an address older than this is asked for again
DNS_GRACE_S = 3600.0  # an outage of DNS shorter than this does not take the cache away with it
FAILOVER_ATTEMPTS = 2  # other nodes a call may turn to; more would carry one failure everywhere
GUTTER_TTL_S = 10  # what a gutter keeps: longer would be stale once the node is back
GUTTER_TTL_MAX_S = 86_400  # a gutter that keeps longer is a second cache with old values
POOL_IDLE_S = 30.0  # below the idle cut-off of common firewalls and of memcached's idle_timeout

RINGS = ("ketama", "rendezvous", "jump", "modulo")
FAILOVERS = ("fail", "rehash", "gutter")
PROTOCOLS = ("auto", "meta", "text")


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Everything a `MemcacheClient` is told."""

    pool_size: int = POOL_SIZE
    op_timeout: float = OP_TIMEOUT_S
    connect_timeout: float = CONNECT_TIMEOUT_S
    ring: str = "ketama"
    weights: Mapping[str, int] = field(default_factory=dict)  # by label; the others weigh 1
    failover: str = "fail"
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    lifetime_s: float = POOL_LIFETIME_S
    lifetime_jitter: float = POOL_LIFETIME_JITTER
    idle_s: float = POOL_IDLE_S
    pool_minimum: int = 0  # connections a pool keeps open to each node
    maintenance_s: float = POOL_MAINTENANCE_S
    idle_check_s: float | None = None  # ask idle connections this often; None: only look at them
    dns_keep_s: float = DNS_KEEP_S
    dns_grace_s: float = DNS_GRACE_S  # how long known addresses serve while look-ups fail
    failover_attempts: int = FAILOVER_ATTEMPTS
    gutter_nodes: Sequence[Any] = ()  # addresses, used by failover "gutter" alone
    gutter_ttl_s: int = GUTTER_TTL_S
    guard_share: float | None = None  # with more than this share of nodes open, open no more
    protocol: str = "auto"  # "auto" asks each node once whether it speaks meta commands
    serde: Any = None  # pymemcache's: serialize(key, value), deserialize(key, value, flags)
    tls: ssl.SSLContext | None = None
    tls_hostname: str | None = None  # checked instead of the node's own name
    # "user password" of memcached's ASCII authentication; no repr shows it
    auth_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_count("pool_size", self.pool_size)
        check_minimum(self.pool_minimum, self.pool_size)
        for name in ("op_timeout", "connect_timeout", "lifetime_s", "idle_s", "maintenance_s"):
            check_seconds(name, getattr(self, name))
        if self.idle_check_s is not None:
            check_seconds("idle_check_s", self.idle_check_s)
        if not 0 <= self.lifetime_jitter < 1:
            raise ValueError(f"lifetime_jitter must be in [0, 1), not {self.lifetime_jitter!r}")
        share = self.guard_share
        if share is not None and not (isinstance(share, int | float) and 0 <= share < 1):
            raise ValueError(f"guard_share must be in [0, 1), not {share!r}")
        if self.ring not in RINGS:
            raise ValueError(unknown("ring", self.ring, RINGS))
        self._check_failover()
        if self.protocol not in PROTOCOLS:
            raise ValueError(unknown("protocol", self.protocol, PROTOCOLS))
        check_serde(self.serde)

        check_seconds("dns_keep_s", self.dns_keep_s)
        if self.dns_grace_s != 0:  # 0: an address that cannot be asked for again is not used
            check_seconds("dns_grace_s", self.dns_grace_s)
        check_tls(self.tls, self.tls_hostname)
        check_token(self.auth_token)

    def _check_failover(self) -> None:
        if self.failover not in FAILOVERS:
            raise ValueError(unknown("failover", self.failover, FAILOVERS))
        check_count("failover_attempts", self.failover_attempts)
        check_count("gutter_ttl_s", self.gutter_ttl_s)
        if self.gutter_ttl_s > GUTTER_TTL_MAX_S:
            raise ValueError(
                f"gutter_ttl_s {self.gutter_ttl_s} is above {GUTTER_TTL_MAX_S}, a day: "
                "what a gutter keeps is out of date when the node is back"
            )
        if self.failover == "gutter" and not self.gutter_nodes:
            raise ValueError("failover 'gutter' needs gutter_nodes: give at least one address")
        if self.failover != "gutter" and self.gutter_nodes:
            raise ValueError(
                f"gutter_nodes are given, but failover is {self.failover!r}: set it to 'gutter'"
            )
        for node in self.gutter_nodes:
            parse_address(node)

    @classmethod
    def of(cls, source: object) -> ClientSettings:
        """Read the contract's attributes from any object; what it lacks keeps its default."""
        if isinstance(source, cls):
            return source
        fields: dict[str, Any] = {}
        for entry in dataclasses.fields(cls):
            value = getattr(source, entry.name, None)
            if value is not None:
                fields[entry.name] = value
        if "breaker" in fields:
            fields["breaker"] = BreakerSettings.of(fields["breaker"])
        return cls(**fields)
