"""User classes of the user's own, which Locust runs beside those of memquake.

They ride along: Locust starts and ends them, their requests stand in Locust's tables, and nothing
of them is paced, prepared or judged.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import gevent
from locust import HttpUser, User
from locust.contrib.fasthttp import FastHttpUser

from users.ledger import LedgerUser
from users.lifecycle import PacedUser

END_S = 2.0  # beyond the time that `--stop-timeout` grants their tasks


def is_foreign(kind: type) -> bool:
    """Return whether a user class is not one of memquake's."""
    return not issubclass(kind, PacedUser)


def classes_of(locustfile: str) -> dict[str, type[User]]:
    """Return the user classes that Locust found, by the names it gives them.

    `locustfile` is the value of Locust's option: files and folders, with commas between them. What
    was loaded from elsewhere (a URL) is not told apart from other classes of this process.
    """
    places = [os.path.abspath(part.strip()) for part in locustfile.split(",")]
    found: dict[str, type[User]] = {}
    for module in list(sys.modules.values()):
        content = getattr(module, "__dict__", {})
        file = content.get("__file__")
        if isinstance(file, str) and any(file == p or file.startswith(p + os.sep) for p in places):
            found |= {name: kind for name, kind in content.items() if _is_runnable(kind)}
    return found or {kind.__name__: kind for kind in _below(User) if _is_runnable(kind)}


def _is_runnable(thing: object) -> bool:
    is_user = isinstance(thing, type) and issubclass(thing, User) and thing.abstract is False
    return is_user and thing is not LedgerUser


def _below(kind: type[User]) -> Iterator[type[User]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def lacks_host(kind: type[User], host: str | None) -> bool:
    """Return whether users of this class cannot be made, for want of a base URL."""
    return issubclass(kind, HttpUser | FastHttpUser) and not (host or kind.host)


def count_ours(counts: Mapping[str, int], kinds: Iterable[type[User]]) -> int:
    """Return how many of the users counted by class name are memquake's."""
    names = {kind.__name__ for kind in kinds if not is_foreign(kind)}
    return sum(count for name, count in counts.items() if name in names)


def estimate_ours(total: int, kinds: Iterable[type[User]]) -> int:
    """Return how many of `total` users will be memquake's, by what their classes weigh."""
    classes = list(kinds)
    ours = [kind for kind in classes if not is_foreign(kind)]
    if len(ours) == len(classes):
        return total
    fixed = [min(total, sum(kind.fixed_count for kind in group)) for group in (ours, classes)]
    weights = [sum(k.weight for k in group if not k.fixed_count) for group in (ours, classes)]
    share = weights[0] / weights[1] if weights[1] else 0.0
    return min(total, round(fixed[0] + (total - fixed[1]) * share))


def names_of(kinds: Iterable[type[User]]) -> list[str]:
    """Return the names of the classes that are not memquake's, in order."""
    return sorted(kind.__name__ for kind in kinds if is_foreign(kind))


def end_all(runner: Any) -> None:
    """End the users of this process that are not memquake's, as Locust ends users, bounded."""
    counts = dict(runner.user_classes_count)
    running = {name: counts[name] for name in names_of(runner.user_classes) if counts.get(name)}
    if running:
        gevent.spawn(runner.stop_users, running).join(runner.environment.stop_timeout + END_S)
