"""What a load process gives its users, and what it watches them by.

The session of a worker makes one `LoadContext` a run and hangs it on Locust's environment as
`memquake`; every user takes it from there. It holds state and counts, no policy: users decide what
to call, the session decides when to begin and to stop.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gevent.event import Event
from gevent.lock import BoundedSemaphore

from cluster.node import Node
from telemetry.recorder import Recorder
from users.accounts import Accounts
from users.origin import Origin
from users.pacing import Schedule
from users.presets import ZIPF_ALPHA
from users.records import Records

PREFILLS_AT_ONCE = 4  # enough to keep a core busy; more only lengthens every single answer


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """What the users of a run do. `mix` is weights by operation, None for each user's own."""

    mix: Mapping[str, int] | None = None
    zipf_alpha: float = ZIPF_ALPHA
    protection: str = "none"  # of a stampede: none, lock, lease
    origin_latency_s: float = 0.05
    stampede_ttl_s: int = 2
    value_size: int = 100
    arrivals: str = "constant"  # how intended starts are spaced: constant, poisson
    op_timeout: float = 0.5
    seed: int = 1
    worker_index: int = 0
    run_id: str = "run"  # short and without spaces: every key begins with it


class Caller(Protocol):
    """A user, as one who calls a client."""

    def take_client(self, client: Any) -> None:
        """Call this client from now on."""


class FaultState:
    """Whether the harness does something to the nodes now, as the master says."""

    def __init__(self) -> None:
        self.count = 0  # of the faults, or runs of overlapping ones, that have begun
        self._none_on = Event()
        self._none_on.set()

    @property
    def is_on(self) -> bool:
        """Whether a fault is on."""
        return not self._none_on.is_set()

    def note(self, *, on: bool) -> None:
        """Take the master's word."""
        if on and not self.is_on:
            self.count += 1
            self._none_on.clear()
        elif not on:
            self._none_on.set()

    def since(self, count: int) -> bool:
        """Whether a fault is on, or has been since `count` was read."""
        return self.is_on or self.count != count

    def wait_for_none(self) -> None:
        """Wait until no fault is on."""
        self._none_on.wait()


class LoadContext:
    """One run as the users of one process know it.

    `clients` are the clients under test, one for each group of users, `client` the first of them.
    `beside` are nodes that keys may go to and do not live on.
    `locations` says on which node a key lives, as read directly after the prefill, `keys_placed`
    how many each node then held, a key on two nodes counting for both. `users` and
    `inside` count, by user class, who is there and who is inside a call of the client.
    `riders` are the classes among them that ride along unasked, `accounts` what they and other
    single writers know. `schedules` holds the intended starts by user class; they count only in a
    paced run.
    `faults` says whether a fault is on.
    `expected_rate` is iterations a second and user, 0 in a closed loop.
    `problem` is the one line for which the run cannot start.
    """

    def __init__(
        self,
        *,
        client: Any,
        clients: Sequence[Any] = (),
        recorder: Recorder,
        nodes: Sequence[Node],
        beside: Sequence[Node] = (),
        settings: LoadSettings,
        origin: Origin,
        go: Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clients = list(clients) or [client]
        self.client = self.clients[0]
        self.recorder = recorder
        self.nodes = list(nodes)
        self.settings = settings
        self.origin = origin
        self.faults = FaultState()
        self.go = go if go is not None else Event()
        self.clock = clock
        self.schedules: dict[str, Schedule] = {}
        self.locations: dict[str, str] = {}
        self.keys_placed: Counter[str] = Counter()
        self.inside: dict[str, int] = defaultdict(int)
        self.users: dict[str, int] = defaultdict(int)
        self.riders: set[str] = set()
        self.expected_rate = 0.0
        self.iterating = 0  # iterations of users under way, inside the client or beside it
        self.peak_calls = 0  # the most that were inside the client at once
        self.ready_count = 0
        self.keys_stored = 0  # before the load began
        self.problem = ""
        self.merge_requests: Callable[[], None] = _nothing  # brings Locust's tables up to date
        self.records: Records | None = None  # names of the nodes, where they change in the run
        self.prefill_gate = BoundedSemaphore(PREFILLS_AT_ONCE)
        self.spelling_gate = BoundedSemaphore(1)
        self.has_sought_spelling = False
        self.shared: dict[str, Event] = {}  # keys of several users: set once they are stored
        self.is_stopping = False  # set by `stop`: users must begin nothing new
        self.accounts = Accounts([*self.nodes, *beside], self.locations, clock=clock)
        self.accounts.value_bytes = settings.value_size
        self._arrived = 0
        self._dealt: Counter[str] = Counter()
        self._callers: dict[Caller, int] = {}  # by group
        self._called = list(self.clients)  # what users call: the clients, or what stands in front

    def stop(self) -> None:
        """Let users begin nothing new, for good."""
        if not self.is_stopping:
            now = self.clock()
            for schedule in self.schedules.values():
                schedule.stop(now)
        self.is_stopping = True

    @property
    def user_count(self) -> int:
        """How many users are there, those that ride along not counted."""
        return sum(count for name, count in self.users.items() if name not in self.riders)

    def arrive(self, kind: str) -> int:
        """Count a new user of class `kind` and give it a number of its own in this process."""
        self.users[kind] += 1
        self._arrived += 1
        return self._arrived - 1

    def deal(self, kind: str) -> int:
        """Give a new user of class `kind` its group, in turn: each group has all classes."""
        self._dealt[kind] += 1
        return (self._dealt[kind] - 1) % len(self.clients)

    def enrol(self, caller: Caller, group: int) -> None:
        """Give a user its group's client now, and another one whenever that changes."""
        self._callers[caller] = group
        caller.take_client(self._called[group])

    def dismiss(self, caller: Caller) -> None:
        """Forget a user that ends."""
        self._callers.pop(caller, None)

    def stand_before(self, wrap: Callable[[Any], Any] | None) -> None:
        """Let users call what `wrap` makes of each client; None for the clients themselves."""
        self._called = [client if wrap is None else wrap(client) for client in self.clients]
        for caller, group in self._callers.items():
            caller.take_client(self._called[group])

    def note_call(self) -> None:
        """Note that a call is about to begin, for `peak_calls`."""
        calls = sum(self.inside.values()) + 1
        self.peak_calls = max(self.peak_calls, calls)

    def ready(self) -> None:
        """Count a user whose keys are stored and found."""
        self.ready_count += 1

    def leave(self, kind: str, was_ready: bool) -> None:
        """Take a user that ends out of the counts."""
        self.users[kind] -= 1
        self.ready_count -= was_ready

    def fail(self, problem: str) -> None:
        """Say in one line why the run cannot start; the first to say so is heard."""
        self.problem = self.problem or " ".join(problem.split())


def _nothing() -> None:
    """Stand in for what the first user of the run brings with it."""
