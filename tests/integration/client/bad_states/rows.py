"""The table of bad states: for each its detector, its broken twins, and what pymemcache does.

A row is data. `pymemcache` says which of the library's clients are held against the detector and
what is known of them: BAD and CLEAN are asserted. SHOWN, which is a matter of timing or the same as
another's, is only printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from tests.integration.client import twins
from tests.integration.client.bad_states import (
    breaking,
    contenders,
    cut_off,
    flowing,
    placing,
)
from tests.integration.client.bad_states.findings import Seen
from tests.integration.client.bad_states.lab import Lab, Make


class Known(Enum):
    """What a contender is known to do in a detector. SHOWN is printed and not asserted."""

    BAD = "bad"
    CLEAN = "clean"
    SHOWN = "shown"


BAD, CLEAN, SHOWN = Known.BAD, Known.CLEAN, Known.SHOWN


@dataclass(frozen=True, kw_only=True)
class Row:
    """One bad state. `needs` is how often it must have been provoked to prove anything."""

    name: str
    trigger: str
    detect: Callable[[Lab, Make], Seen]
    twins: Mapping[str, Make]
    pymemcache: Mapping[Make, Known]
    needs: int = 1
    survivors: Mapping[str, Make] = field(default_factory=dict)  # broken in part, and yet clean


POOLED, HASHED = contenders.pooled, contenders.hashed

ROWS = (
    Row(
        name="desync",
        trigger="abort in mid-read",
        detect=cut_off.desync,
        needs=20,
        twins={"reuses a connection after a kill": twins.reuses_after_kill},
        pymemcache={contenders.single: BAD, POOLED: CLEAN, HASHED: SHOWN},
    ),
    Row(
        name="half-written set",
        trigger="abort in mid-send",
        detect=cut_off.half_written_set,
        needs=3,
        twins={"reuses a connection after a kill": twins.reuses_after_kill},
        pymemcache={POOLED: CLEAN, contenders.pooled_as_shipped: SHOWN, HASHED: SHOWN},
    ),
    Row(
        name="half-written set, one caller",
        trigger="abort in mid-send",
        detect=partial(cut_off.half_written_set, slots=1),
        twins={"reuses a connection after a kill": twins.reuses_after_kill},
        pymemcache={contenders.single: SHOWN, contenders.single_as_shipped: BAD},
    ),
    Row(
        name="stale pooled connection",
        trigger="restart, idle close",
        detect=placing.stale_connections,
        needs=8,
        twins={"trusts idle connections": twins.trusts_idle_connections},
        pymemcache={POOLED: BAD, HASHED: SHOWN},
    ),
    Row(
        name="slot leak",
        trigger="kill, Timeout",
        detect=cut_off.slot_leak,
        needs=4,
        twins={"frees nothing after a kill": twins.leaks_slots},
        pymemcache={POOLED: BAD, HASHED: BAD},
    ),
    Row(
        name="swallowed Timeout",
        trigger="breaker",
        detect=cut_off.swallowed_timeout,
        needs=30,
        twins={"turns a Timeout into an error": twins.swallows_timeouts},
        pymemcache={POOLED: CLEAN, HASHED: SHOWN},
    ),
    Row(
        name="breaker stuck open",
        trigger="clock step",
        detect=breaking.stuck_open,
        twins={"opens by the wall clock": twins.stays_open},
        pymemcache={POOLED: SHOWN, HASHED: BAD},
    ),
    Row(
        name="stuck half-open",
        trigger="lost permit",
        detect=breaking.stuck_half_open,
        twins={"loses permits, and no lease": twins.stays_half_open},
        survivors={"loses permits, with a lease": twins.loses_probes},
        pymemcache={POOLED: CLEAN},
    ),
    Row(
        name="probe stampede",
        trigger="unlimited half-open",
        detect=breaking.probe_stampede,
        needs=50,
        twins={"half-open admits everybody": twins.admits_everybody},
        pymemcache={POOLED: BAD, HASHED: SHOWN},
    ),
    Row(
        name="phantom transitions",
        trigger="stale outcomes",
        detect=breaking.phantom_transitions,
        needs=40,
        twins={"believes stale outcomes": twins.believes_old_news},
        pymemcache={POOLED: SHOWN, HASHED: SHOWN},
    ),
    Row(
        name="serialisation",
        trigger="lock across I/O",
        detect=flowing.serialisation,
        needs=60,
        twins={"holds a lock across I/O": twins.locks_across_io},
        pymemcache={POOLED: CLEAN, HASHED: CLEAN},
    ),
    Row(
        name="serialisation of a batch",
        trigger="one node after the other",
        detect=flowing.serial_batches,
        twins={"asks node by node": twins.asks_node_by_node},
        pymemcache={HASHED: BAD},
    ),
    Row(
        name="reconnect storm",
        trigger="mass close, fault removal",
        detect=flowing.reconnect_storm,
        needs=100,
        twins={"never opens": twins.never_opens},
        pymemcache={POOLED: BAD, HASHED: SHOWN},
    ),
    Row(
        name="stale DNS",
        trigger="old peer dies",
        detect=placing.stale_dns,
        twins={"keeps addresses for ever": twins.keeps_addresses},
        pymemcache={POOLED: CLEAN, HASHED: SHOWN},
    ),
    Row(
        name="stale DNS, old peer alive",
        trigger="record changes",
        detect=placing.moved_name,
        twins={"keeps addresses for ever": twins.keeps_addresses},
        pymemcache={POOLED: BAD, HASHED: SHOWN},
    ),
    Row(
        name="stale ring, split brain",
        trigger="dead then revived node",
        detect=placing.stale_ring,
        needs=5,
        twins={"drops dead nodes off the ring": twins.DropsDeadNodes},
        pymemcache={HASHED: SHOWN, contenders.hashed_back_soon: BAD},
    ),
    Row(
        name="masked failure",
        trigger="ignore_exc, noreply",
        detect=placing.masked_failure,
        needs=5,
        twins={"calls failures misses": twins.masks_failures},
        pymemcache={contenders.pooled_as_shipped: BAD, HASHED: BAD},
    ),
    Row(
        name="slow drip",
        trigger="slicer, bandwidth",
        detect=flowing.slow_drip,
        needs=8,
        twins={"a deadline for every recv": twins.drips},
        pymemcache={POOLED: BAD, HASHED: SHOWN},
    ),
    Row(
        name="hub blocked",
        trigger="synchronous DNS",
        detect=flowing.hub_blocked,
        twins={"resolves on the hub": twins.blocks_the_hub},
        pymemcache={POOLED: CLEAN, HASHED: SHOWN},
    ),
)
