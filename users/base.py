"""What every user has in common: measured, verified, paced calls of the client under test.

This is the only place that tells Locust of requests and the only one that writes operations to
the recorder, so both always tell the same story. A call of the client may return anything and
raise anything; whatever it does becomes one outcome of one operation, and only the harness's own
kill passes through. The part between the two looks at the clock is the client's time and nothing
else's. Which operations to call, on which keys, is for the subclasses to know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from client.operation import FAILURES, Outcome
from cluster.slabs import Items
from telemetry.samples import KEYS_NAMED
from telemetry.window import EMPTY, RAISED
from users.context import LoadContext, LoadSettings
from users.keys import make_rng
from users.lifecycle import PacedUser
from users.outcomes import classify, of_write, split_batch
from users.prefill import Prefill
from users.requests import requests_of
from users.samples import Sampling
from users.sides import belong
from users.strangers import ends_the_user, kind_of, words_of
from users.values import Finding, check, describe, make

KEY_BYTES = 30  # of a key of a user, about
NEIGHBOURS = 8  # operations of the same user kept as evidence beside a wrong value

# Plain strings: an enum member's attributes are found several times slower.
_HIT, _MISS = str(Outcome.HIT), str(Outcome.MISS)


class _Failed:
    """The result of a call that failed. False, and never equal to a value or to a miss."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "FAILED"


FAILED = _Failed()


class CallError(Exception):
    """A failed call in Locust's statistics: its outcome, or the class of what was raised."""


# One object a text: Locust keys its error table by it, so it must hold nothing unique. Classes of a
# client's own come when they are raised, no more of them than the recorder tells apart.
_ERRORS: dict[str, CallError] = {str(outcome): CallError(str(outcome)) for outcome in FAILURES}


class MemcacheUser(PacedUser):
    """One user of the cache. Subclasses give `kind`, `prepare` and `iterate`."""

    abstract = True
    kind = ""  # request type in Locust's tables
    pace = 1.0  # part of the target rate of one user, beside one of another class

    @classmethod
    def kept(cls, settings: LoadSettings, users: int, rate: float) -> list[Items]:
        """Return what `users` of this class keep in the nodes, each at `rate` iterations a second.

        Keys that all of them share count once.
        """
        return []

    def join(self, load: LoadContext) -> None:
        """Become a user of this run and bind once what every call needs."""
        super().join(load)
        settings = load.settings
        self.rng = make_rng(settings.seed, settings.worker_index, self.index)
        self.writer = f"w{settings.worker_index}.{self.index}"
        self.side = load.deal(self._name)
        if len(load.clients) > 1:
            belong(self.side)
        self.prefill = Prefill(load, client=load.clients[self.side])
        self._version = 0
        self._size = settings.value_size
        self._recent: deque[tuple[str, str, str, float]] = deque(maxlen=NEIGHBOURS)
        self._inside, self._locations = load.inside, load.locations
        self._record = load.recorder.record
        self._sample = Sampling(load.recorder, self.writer, self._ends).keep
        self._requests = requests_of(self.environment, _ERRORS)
        self._gets = self._requests.tally(self.kind, "get")
        load.merge_requests = self._requests.merge
        load.enrol(self, self.side)

    def take_client(self, client: Any) -> None:
        """Call this client from now on; a call under way goes on with the one it began with."""
        self._client = client
        try:
            self._client_get = client.get
        except BaseException as error:  # a stranger's property: it fails in a measured call
            if ends_the_user(error, self._ends()):
                raise
            self._client_get = self._get_late

    def _get_late(self, key: str) -> Any:
        return self._client.get(key)

    def on_stop(self) -> None:
        """Leave the run with nothing untold."""
        if self.load is not None:
            self._requests.merge()
            self.load.dismiss(self)
        super().on_stop()

    # Measured calls ------------------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """Read a key: its verified value, None for a miss, FAILED for everything else."""
        clock, inside, name = self._clock, self._inside, self._name
        inside[name] += 1
        started = clock()
        try:
            value = self._client_get(key)
            ended = clock()
        except BaseException as error:
            return self._raised("get", key, started, clock(), error)
        finally:
            inside[name] -= 1
        if value is None:
            self._finish("get", key, _MISS, started, ended)
            return None
        if type(value) is bytes and check(key, value, self._size) is None:
            # `_finish` and `Requests.tell`, written out for the most frequent of outcomes.
            intended = self._intended
            if intended is None:
                intended = started
            else:
                self._intended = None
            node = self._locations.get(key, "")
            if self._record("get", node, _HIT, intended, started, ended, 1, 1):
                self._sample("get", node, _HIT, (key,), started, ended)
            self._recent.append(("get", key, _HIT, started))
            requests, tally = self._requests, self._gets
            if requests.listeners == requests.expected and ended < requests.merge_at:
                tally.last = ended
                tally.length += len(value)
                tally.times.append((ended - intended) * 1000.0)
            else:
                requests.tell(
                    self.kind, "get", _HIT, (ended - intended) * 1000.0, ended, len(value)
                )
            return value
        outcome = self._blame("get", key, value, ended)
        self._finish("get", key, outcome, started, ended)
        return FAILED

    def set(self, key: str, value: bytes, ttl_s: int) -> Any:
        """Store a value. True when it was acknowledged, else FAILED."""
        return self._write("set", key, value, ttl_s)

    def add(self, key: str, value: bytes, ttl_s: int) -> Any:
        """Store a value where there is none. True, False when there is one, or FAILED."""
        return self._write("add", key, value, ttl_s)

    def delete(self, key: str) -> Any:
        """Remove a key. True, False when it was not there, or FAILED."""
        return self._write("delete", key)

    def incr(self, key: str, by: int = 1) -> Any:
        """Add to a counter. The new count, None when there is no such counter, or FAILED."""
        return self._write("incr", key, by)

    def get_many(self, keys: Sequence[str]) -> Any:
        """Read a batch of distinct keys: the verified values by key, or FAILED.

        A batch is one operation. What `.failed` names is counted by the node of the key.
        """
        clock, inside, name = self._clock, self._inside, self._name
        inside[name] += 1
        started = clock()
        try:
            # Taken apart inside the client's time: a mapping may well do its work when it is read.
            answer = split_batch(keys, self._client.get_many(list(keys)))
            ended = clock()
        except BaseException as error:
            ended = clock()
            nodes = self._nodes_of(keys)
            self._recorder.batch_asked(nodes, started)
            return self._raised("get_many", keys[0], started, ended, error, nodes=nodes)
        finally:
            inside[name] -= 1
        self._recorder.batch_asked(self._nodes_of(keys), started)
        if answer is None:
            self._find_bad_result("get_many", keys[0], "keys not asked for, or no mapping")
            bad = Outcome.BAD_RESULT
            self._finish("get_many", keys[0], bad, started, ended, keys=len(keys))
            return FAILED
        return self._finish_batch(keys, *answer, started, ended)

    def _nodes_of(self, keys: Sequence[str]) -> list[str]:
        locations = self._locations
        return [locations.get(key, "") for key in keys]

    # What becomes of a call ----------------------------------------------------------------------

    def new_value(self, key: str) -> bytes:
        """Give the next version of a key's value."""
        self._version += 1
        return make(key, self.writer, self._version, self._size)

    def _write(self, op: str, key: str, *args: Any) -> Any:
        """Call the client's method of this name with the key and what else it takes."""
        clock, inside, name = self._clock, self._inside, self._name
        inside[name] += 1
        started = clock()
        try:
            result = getattr(self._client, op)(key, *args)
            ended = clock()
        except BaseException as error:
            return self._raised(op, key, started, clock(), error, args=args)
        finally:
            inside[name] -= 1
        outcome = of_write(op, result)
        if outcome is Outcome.BAD_RESULT:
            self._find_bad_result(op, key, self._described(result))
        swallowed = f"{op} returned {result}" if outcome is Outcome.OTHER_ERROR else ""
        self._finish(op, key, outcome, started, ended, error=swallowed, args=args)
        return FAILED if outcome in FAILURES else result

    def _finish_batch(
        self,
        keys: Sequence[str],
        values: Mapping[str, Any],
        failed: Sequence[str],
        started: float,
        ended: float,
    ) -> Any:
        hits = length = 0
        outcome = None
        verified: dict[str, bytes] = {}
        for key, value in values.items():
            if type(value) is bytes and check(key, value, self._size) is None:
                verified[key] = value
                hits += 1
                length += len(value)
            else:
                outcome = self._blame("get_many", key, value, ended)
        if not values and not failed:
            self._recorder.batch_gave_nothing(EMPTY, self._nodes_of(keys), started)
        by_node: dict[str, list[str]] = {}
        for key in failed:
            by_node.setdefault(self._locations.get(key, ""), []).append(key)
        for node, named in by_node.items():
            self._recorder.batch_failed(node, started, len(named))
            self._sample("get_many", node, KEYS_NAMED, named[:1], started, ended, keys=len(keys))
        if outcome is None:
            outcome = Outcome.PARTIAL if failed else Outcome.HIT if hits else Outcome.MISS
        self._finish(
            "get_many",
            keys[0],
            outcome,
            started,
            ended,
            length=length,
            hits=hits,
            keys=len(keys),
        )
        return verified

    def _finish(
        self,
        op: str,
        key: str,
        outcome: str,
        started: float,
        ended: float,
        *,
        length: int = 0,
        hits: int = 0,
        keys: int = 1,
        error: str = "",
        raised: BaseException | None = None,
        args: Sequence[Any] = (),
    ) -> None:
        """Write one operation to the recorder and to Locust.

        Only the first call of an iteration had an intended start of its own. `error` names the
        class of what was raised; `args` are those after the key.
        """
        intended = self._intended
        if intended is None:
            intended = started
        else:
            self._intended = None
        node = self._locations.get(key, "") if op != "get_many" else ""
        if self._record(op, node, outcome, intended, started, ended, keys, hits):
            self._sample(
                op,
                node,
                outcome,
                (key, *args),
                started,
                ended,
                keys=keys,
                error=error,
                raised=raised,
            )
        self._recent.append((op, key, outcome, started))
        shown = str(outcome)
        if error:
            error = self._recorder.raised(op, node, shown, error, started)
            if outcome == Outcome.OTHER_ERROR:  # which says less than the name of the class
                shown = error
                _ERRORS.setdefault(shown, CallError(shown))
        self._requests.tell(
            self.kind, op, outcome, (ended - intended) * 1000.0, ended, length, error=shown
        )

    def _raised(
        self,
        op: str,
        key: str,
        started: float,
        ended: float,
        error: BaseException,
        *,
        nodes: Sequence[str] = (),
        args: Sequence[Any] = (),
    ) -> _Failed:
        """Turn what a call raised into its outcome; pass the harness's own kill on.

        `nodes` are those of the keys of a batch, `args` what the call took after the key.
        """
        keys = len(nodes) or 1
        if ends_the_user(error, self._ends()):
            self._cut_off(op, key, started, ended, keys)
            raise error
        outcome = classify(error)
        if outcome is Outcome.ABORTED:
            self._cut_off(op, key, started, ended, keys)
            return FAILED
        if outcome is Outcome.BUG:
            said = words_of(error, is_ending=self._ends)
            node = self._locations.get(key, "")
            found = {"op": op, "key": key, "node": node, "error": said}
            self._recorder.finding("programming_error", found)
        if nodes:
            self._recorder.batch_gave_nothing(RAISED, nodes, started)
        self._finish(
            *(op, key, outcome, started, ended),
            keys=keys,
            error=kind_of(error),
            raised=error,
            args=args,
        )
        return FAILED

    def _cut_off(self, op: str, key: str, started: float, ended: float, keys: int) -> None:
        """Record a call that the harness cut off: in no table of Locust's, and nobody's error."""
        intended = started if self._intended is None else self._intended
        self._intended = None
        node = self._locations.get(key, "") if op != "get_many" else ""
        if self._record(op, node, Outcome.ABORTED, intended, started, ended, keys, 0):
            self._sample(op, node, Outcome.ABORTED, (key,), started, ended, keys=keys)

    def _blame(self, op: str, key: str, value: object, ended: float) -> Outcome:
        """Keep the evidence for a hit that is not right, and name its outcome."""
        if not issubclass(type(value), bytes):
            self._find_bad_result(op, key, self._described(value))
            return Outcome.BAD_RESULT
        plain: Any = value
        finding = check(key, b"".join((plain,)), self._size)
        if finding is None:  # a subclass of bytes
            self._find_bad_result(op, key, f"{kind_of(value)} where bytes are due")
            return Outcome.BAD_RESULT
        self._recorder.wrong_value(self._evidence(op, key, finding, ended))
        return Outcome.WRONG_VALUE

    def _evidence(self, op: str, key: str, finding: Finding, ended: float) -> dict[str, Any]:
        return {
            "kind": str(finding.problem),
            "op": op,
            "key": key,
            "node": self._locations.get(key, ""),
            "user": self.writer,
            "got": finding.got,
            "expected": finding.expected,
            "neighbours": [
                f"{before} {of}: {came} ({(ended - at) * 1000:.1f} ms earlier)"
                for before, of, came, at in self._recent
            ],
        }

    def _described(self, value: object) -> str:
        return describe(value, self._ends)

    def _ends(self) -> bool:
        """Tell whether a kill of this user's greenlet would be the harness's own."""
        return self._is_ending or self.load is None or self.load.is_stopping

    def _find_bad_result(self, op: str, key: str, what: str) -> None:
        node = self._locations.get(key, "")
        self._recorder.finding("bad_result", {"op": op, "key": key, "node": node, "got": what})
