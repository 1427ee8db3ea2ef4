"""Messages between load processes and the master, over Locust's own.

In a local run both ends share one runner, whose messages loop back at once. Messages:
`mq_report` {run, from, n, body, totals, final, extra, clock} and `mq_ack` {run, from, n, foreign},
`mq_ping` {t0} and `mq_pong` {t0, t1, master}.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from locust.exception import RPCError, RPCSendError

logger = logging.getLogger(__name__)

REPORT, ACK, PING, PONG = "mq_report", "mq_ack", "mq_ping", "mq_pong"

Clock = Callable[[], float]
Sleep = Callable[[float], Any]


class Runner(Protocol):
    """The part of a Locust runner that is used here."""

    def register_message(
        self, msg_type: str, listener: Callable[..., None], concurrent: bool = False
    ) -> None:
        """Have `listener(environment=, msg=)` called for such messages."""

    def send_message(self, msg_type: str, data: Any = None, client_id: str | None = None) -> None:
        """Send to the master, or from it to one worker or all."""


Handler = Callable[[str, dict[str, Any]], None]

_handlers: WeakKeyDictionary[Any, dict[str, Handler]] = WeakKeyDictionary()


def listen(runner: Runner, name: str, handler: Handler) -> None:
    """Have `handler(sender, data)` called for messages of that name, in place of an older one.

    A runner accepts one listener for a name, ever, while runs come and go in one process. So each
    name is registered once and passed on to whoever asked last.
    """
    current = _handlers.setdefault(runner, {})
    if name not in current:

        def dispatch(msg: Any, **_: Any) -> None:
            current[name](msg.node_id, msg.data)

        runner.register_message(name, dispatch)
    current[name] = handler


def send(runner: Runner, name: str, data: dict[str, Any], to: str | None = None) -> bool:
    """Send, or say that it did not work: every message here is repeated when it matters."""
    try:
        runner.send_message(name, data, client_id=to)
    except (RPCError, RPCSendError) as error:  # the second is no subclass of the first
        logger.warning("could not send %s: %s", name, error)
        return False
    return True
