"""Wait for the nodes of a batch in turn: for ordinary sockets, whatever does their waiting.

Whoever does not answer within a turn goes behind the others, so a dead node holds up nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from client.errors import MemcacheClientError
from client.exchange import Exchange

TURN_S = 0.002  # how long one node is waited for while others may have answered: a slow reply
TURN_MAX_S = 0.05  # nobody answers: look less often, yet often enough for the slower of two

Take = Callable[[Exchange, bytes], bool]
Fail = Callable[[Exchange, MemcacheClientError], None]


def gather(parts: Sequence[Exchange], deadline: float, take: Take, fail: Fail) -> None:
    """Hand what each part's node sends to `take` until it gives False for that part.

    A part whose connection fails, or is silent at the deadline, goes to `fail`.
    """
    pending = deque(parts)
    turn_s, idle_turns = TURN_S, 0
    while pending:
        part = pending.popleft()
        connection = part.connection
        remaining = deadline - part.node.clock()
        try:
            if not pending or remaining <= 0:
                data = connection.read_before(deadline)
            else:
                data = connection.read_within(min(turn_s, remaining))
        except MemcacheClientError as error:
            fail(part, error)
            continue
        if data:
            idle_turns = 0
            if not take(part, data):
                continue
        else:
            idle_turns += 1
            if idle_turns > len(pending):
                turn_s, idle_turns = min(turn_s * 2, TURN_MAX_S), 0
        pending.append(part)
