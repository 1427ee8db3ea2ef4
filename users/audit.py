"""Asking the servers themselves, past the proxies and the client, whether a version is there.

Each node has a queue of questions and a greenlet that asks them on a plain connection of its own,
a moment after they came up; a node that cannot be asked keeps its questions until it can. A key
that is not where it lives is looked for on the other nodes before anything is said of it, because
clients may move keys; meanwhile so is one whose own node cannot be asked. What an answer means is
for whoever asked to say.

Rule: a version that is missing is asked for twice, some time apart, before it counts as missing.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import gevent

from cluster.node import Node
from users.location import DirectNode, LocationError
from users.spelling import AS_GIVEN

TICK_S = 0.1  # how soon a question is asked
TIMEOUT_S = 0.5  # a server on a healthy machine answers within a millisecond
PAUSE_S = 0.5  # before a node that could not be asked is tried again
CONFIRM_AFTER_S = 1.0  # a write that was acknowledged too early may be a moment behind
LAST_CONFIRM_S = 0.2  # the same after the load has ended
MOST_WAITING = 5_000  # questions a node, while it runs; a few seconds of a client at its worst
AT_ONCE = 100  # keys a request


class About(StrEnum):
    """What made the harness ask."""

    WRITE = "write"  # acknowledged: is it there?
    STALE = "stale"  # a read gave an older version: does the server have the newer one?
    MISS = "miss"  # a read gave nothing: does the server have it?
    COUNT = "count"  # what does the counter say?
    ADD = "add"  # acknowledged although the key is there: over what is there, or elsewhere?


ASK_ALL = frozenset({About.STALE, About.COUNT})
"""What is only answered when every node has said what it holds: copies tell where keys moved."""


@dataclass(slots=True)
class Question:
    """A version (or a later one) of a key that should be on `home`. Times of the local clock."""

    about: About
    key: str
    home: str
    version: int
    asked_at: float  # when it came up
    context: Any = None  # for whoever asked
    was_out: bool = False  # its home could not be asked at first
    where: str = ""  # the first node that was found to have it
    held: dict[str, bytes] = field(default_factory=dict)  # what nodes that were asked have
    left: list[str] = field(default_factory=list)  # nodes still to be asked, the next one first
    times: int = 0  # how often all nodes have been asked in vain
    due: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the servers said: the value on the node that has it, or the one at home.

    `where` is the node with the wanted version, "" when none has it. `held` is what all nodes have
    that were asked.
    """

    where: str
    value: bytes | None
    held: Mapping[str, bytes] = field(default_factory=dict)


Judge = Callable[[Question, bytes], bool]  # whether a value is what the question asks for
Settle = Callable[[Question, Answer], None]


class Auditor:
    """The questions of one process. `settle` is called once for each question that is answered."""

    def __init__(
        self,
        nodes: Sequence[Node],
        is_right: Judge,
        settle: Settle,
        *,
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[[Node, float], DirectNode] = DirectNode,
    ) -> None:
        self._nodes: Mapping[str, Node] = {node.name: node for node in nodes}
        self._is_right = is_right
        self._settle = settle
        self._clock = clock
        self._connect = connect
        self._queues: dict[str, deque[Question]] = {name: deque() for name in self._nodes}
        self._lines: dict[str, DirectNode] = {}
        self._greenlets: list[Any] = []
        self._confirm_s = CONFIRM_AFTER_S
        self.asked = 0
        self.spelling = AS_GIVEN

    def ask(self, question: Question, *, however_many: bool = False) -> bool:
        """Take a question; whether there was room for it."""
        queue = self._queues.get(question.home)
        if queue is None or (len(queue) >= MOST_WAITING and not however_many):
            return False
        self._begin_round(question)
        self.asked += 1
        return True

    def waiting(self) -> list[Question]:
        """Give the questions without an answer."""
        return [question for queue in self._queues.values() for question in queue]

    def start(self) -> None:
        """Begin to ask, in greenlets that `stop` ends."""
        self._greenlets = [gevent.spawn(self._watch, name) for name in self._nodes]

    def finish(self, limit_s: float) -> None:
        """Ask what is left, for `limit_s` at most, and end."""
        limit = self._clock() + limit_s
        self._confirm_s = LAST_CONFIRM_S
        for question in self.waiting():
            question.due = min(question.due, self._clock() + LAST_CONFIRM_S)
        while any(self._queues.values()) and self._clock() < limit and self._greenlets:
            gevent.sleep(TICK_S / 2)
        self.stop()

    def stop(self) -> None:
        """End the greenlets and close the connections."""
        gevent.killall(self._greenlets, block=True)
        self._greenlets = []
        while self._lines:
            self._lines.popitem()[1].close()

    def _watch(self, name: str) -> None:
        # At once, while the node has a place: questions come when it may have none.
        with contextlib.suppress(LocationError):
            self._line(name)
        while True:
            reached = self.turn(name)
            gevent.sleep(TICK_S if reached else PAUSE_S)

    def turn(self, name: str) -> bool:
        """Ask a node everything that is due; False when it cannot be asked."""
        queue = self._queues[name]
        for _ in range(len(queue) // AT_ONCE + 1):
            due = self._take_due(queue)
            if not due:
                return True
            try:
                values = self._line(name).fetch({question.key for question in due})
            except (LocationError, ValueError):  # gone, or no memcached any more
                self._hang_up(name)
                for question in due:
                    self._put_off(name, question)
                return False
            except BaseException:  # killed in between: the next turn needs a line in order
                queue.extendleft(reversed(due))
                self._hang_up(name)
                raise
            for question in due:
                self._answered(name, question, values.get(question.key))
        return True

    def _take_due(self, queue: deque[Question]) -> list[Question]:
        now = self._clock()
        due: list[Question] = []
        for _ in range(len(queue)):
            question = queue.popleft()
            if question.due > now:
                queue.append(question)
                continue
            due.append(question)
            if len(due) == AT_ONCE:
                break
        return due

    def _begin_round(self, question: Question) -> None:
        others = [name for name in self._nodes if name != question.home]
        question.held.clear()
        question.left = [question.home, *others]
        self._queues[question.home].append(question)

    def _put_off(self, name: str, question: Question) -> None:
        """Let a node that cannot be asked be the last of the round."""
        question.was_out |= name == question.home
        question.left.remove(name)
        question.left.append(name)
        self._queues[question.left[0]].append(question)

    def _answered(self, name: str, question: Question, value: bytes | None) -> None:
        # The cases: 1. the right version is here; 2. other nodes are still to be asked; 3. all
        # were, and one has it; 4. nobody has it, for the first time; 5. nobody has it.
        question.left.remove(name)
        if value is not None:
            question.held[name] = value
            if not question.where and self._is_right(question, value):
                question.where = name
        if question.left and not (question.where and question.about not in ASK_ALL):
            self._queues[question.left[0]].append(question)
            return
        if not question.where:
            question.times += 1
            if question.times == 1:
                question.due = self._clock() + self._confirm_s
                self._begin_round(question)
                return
        value = question.held.get(question.where or question.home)
        answer = Answer(where=question.where, value=value, held=question.held)
        self._settle(question, answer)

    def _line(self, name: str) -> DirectNode:
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = self._connect(self._nodes[name], TIMEOUT_S)
            line.spelling = self.spelling
        return line

    def _hang_up(self, name: str) -> None:
        line = self._lines.pop(name, None)
        if line is not None:
            line.close()
