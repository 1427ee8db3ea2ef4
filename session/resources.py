"""What this process holds of the machine: descriptors, greenlets, memory.

Taken before a client exists and after it was closed, so that whatever it kept shows. The harness
works in the same process and starts greenlets of its own in between; those are told apart by the
module of the function they run.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Collection
from typing import Any

import gevent
import psutil
from gevent import Greenlet
from greenlet import greenlet

from memquake.paths import CHECKOUT
from users.strangers import kind_of, part_of

# By file and not by name: the client's module may be called `session` too.
HARNESS = tuple(
    f"{CHECKOUT / name}/"
    for name in ("session", "telemetry", "dashboard", "faults", "cluster", "users")
)
SERVED = ("locust.", "gevent.baseserver", "gevent.pywsgi")  # a browser's connections to the web UI


def held(own_ports: Collection[int] = ()) -> dict[str, float]:
    """Count open file descriptors and live greenlets that are not the harness's own.

    `own_ports` are what this process listens on: who looks at the web UI opens and closes
    connections there at any time.
    """
    gc.unfreeze()  # a run freezes what it has prepared, and what is frozen nobody sees
    gc.collect()
    alive = len(foreign_greenlets())
    process = psutil.Process()
    visitors = [c for c in process.net_connections("inet") if _is_visit(c, own_ports)]
    return {"fds": float(process.num_fds() - len(visitors)), "greenlets": float(alive)}


def foreign_greenlets() -> list[greenlet]:
    """Give the live greenlets of this process that are not the harness's own.

    Nor the hub's own threads: gevent keeps up to ten of them for look-ups of names and never ends
    one, as many as were asked for at the same time, and each shows as two greenlets or three.
    """
    pool = gevent.get_hub().threadpool
    workers = list(pool._worker_greenlets)
    threads = {id(part) for w in workers for part in (w, w.parent, w._hub_of_worker)}
    return [thing for thing in gc.get_objects() if _is_foreign(thing) and id(thing) not in threads]


def running() -> Counter[str]:
    """Count the foreign greenlets by what they run, for the words of a finding."""
    return Counter(_what_runs(thing) for thing in foreign_greenlets())


def _what_runs(thing: greenlet) -> str:
    function = part_of(thing, "_run")
    name = part_of(function, "__qualname__") or kind_of(thing)
    module = part_of(function, "__module__") or type(thing).__module__
    return f"{module}.{name}"


def _is_visit(connection: Any, own_ports: Collection[int]) -> bool:
    return bool(connection.raddr and connection.laddr and connection.laddr.port in own_ports)


def _is_foreign(thing: Any) -> bool:
    # Of all objects there are: `isinstance` would run a stranger's `__class__`.
    if not issubclass(type(thing), greenlet) or thing.dead:
        return False
    if not issubclass(type(thing), Greenlet):
        return True
    function = part_of(thing, "_run")
    module, space = part_of(function, "__module__"), part_of(function, "__globals__")
    file = space.get("__file__") if type(space) is dict else None
    return not (
        (type(module) is str and module.startswith(SERVED))
        or (type(file) is str and file.startswith(HARNESS))
    )


def rss_bytes() -> float:
    """Give the resident memory of this process in bytes."""
    return float(psutil.Process().memory_info().rss)
