"""The breaker's rules as pure functions: what a call says of its node, when to open, how long.

No state, no clock, no lock. A call ends as one of three verdicts. SUCCESS: the node did its part.
FAILURE: it did not. IGNORED: the call says nothing about the node, and its permit goes back.
"""

from __future__ import annotations

from typing import Final

from client.breaker_settings import BreakerSettings
from client.errors import BreakerOpen, ClientClosed, Happened, IllegalInput, MemcacheClientError

SUCCESS: Final = 1
FAILURE: Final = 2
IGNORED: Final = 3

NEVER_ASKED = (BreakerOpen, ClientClosed, IllegalInput)
"""Errors of calls that ended before the node was asked: no setting makes them its failures."""


def verdict_of(error: BaseException, settings: BreakerSettings) -> int:
    """Say what a call that ended with `error` says about its node.

    In this order:
    1. What is not ours (a kill, a caller's timeout block) or never went to the node: IGNORED.
    2. What `settings` names by its outcome: FAILURE if counted, IGNORED if ignored.
    3. Not answering, closing, refusing, unreachable, nonsense for a reply: FAILURE.
    4. An error answered in good order, CLIENT_ERROR or SERVER_ERROR: SUCCESS. The one is the
       caller's mistake. The other (too large, out of memory) concerns one request, and reads go on
       working. Were it ignored, a node that answers each probe so would be half-open for ever.
    5. The rest, a full pool or no descriptors left here, is this process's trouble: IGNORED.

    A miss is no error: a call that ends with one ends with SUCCESS and never comes here.
    """
    if not isinstance(error, MemcacheClientError) or isinstance(error, NEVER_ASKED):
        return IGNORED
    if error.outcome in settings.counted:
        return FAILURE
    if error.outcome in settings.ignored:
        return IGNORED
    if error.blames_node:
        return FAILURE
    return SUCCESS if error.happened is Happened.SERVER_REPLY else IGNORED


def trips(settings: BreakerSettings, streak: int, calls: int, failures: int, slow: int) -> bool:
    """Say whether these counts open a closed breaker; the last three are those of the window."""
    if streak >= settings.consecutive_failures:
        return True
    if calls < settings.minimum_calls:
        return False
    if failures and failures >= settings.failure_rate * calls:
        return True
    return settings.slow_call_s is not None and slow > 0 and slow >= settings.slow_call_rate * calls


def open_seconds(settings: BreakerSettings, failed_rounds: int, spread: float) -> float:
    """Give how long to stay open after so many failed probe rounds; `spread` is in [0, 1).

    min(open_s * open_growth ** failed_rounds, open_max_s), less up to the share `open_jitter`.
    """
    try:
        grown = settings.open_s * settings.open_growth**failed_rounds
    except OverflowError:
        grown = settings.open_max_s
    return min(grown, settings.open_max_s) * (1.0 - settings.open_jitter * spread)
