"""Building the client under test within a bound: a stranger's constructor may wait for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent

from cluster.node import Address
from users.clients import ClientSpecError, Factory, construct
from users.strangers import offers, text_of

CLOSE_LIMIT_S = 5.0  # a client that does not close in this time has hung
CLOSING = ("close", "disconnect_all", "quit")
"""What libraries call it, the contract's own name first; one without any has nothing to close."""

BUILD_LIMIT_S = 15.0  # beside the time in which it may connect to one node after the other


def build_bounded(factory: Factory, nodes: Sequence[Address], settings: Any) -> Any:
    """Build the client; ClientSpecError when it raises, lacks methods, or does not return."""
    building = gevent.spawn(_build, factory, nodes, settings)
    limit_s = BUILD_LIMIT_S + len(nodes) * float(getattr(settings, "connect_timeout", 0.0))
    building.join(limit_s)
    if not building.ready():
        building.kill(block=False)
        raise ClientSpecError(
            f"--client: building it did not end within {limit_s:g} s: "
            "give it a deadline for connecting"
        )
    result = building.value
    if isinstance(result, ClientSpecError):
        raise result
    return result


def _build(factory: Factory, nodes: Sequence[Address], settings: Any) -> Any:
    try:
        return construct(factory, nodes, settings)
    except ClientSpecError as error:
        return error


def close_bounded(client: Any) -> str:
    """Close the client by what it has for that; return why it did not, "" when it did.

    Nothing it raises goes further.
    """
    closing = gevent.spawn(_close, client)
    closing.join(CLOSE_LIMIT_S)
    if closing.ready():
        return str(closing.value)
    closing.kill(block=False)
    return f"closing it did not end within {CLOSE_LIMIT_S:g} s"


def _close(client: Any) -> str:
    name = next((name for name in CLOSING if offers(client, name)), "")
    try:
        if name:
            getattr(client, name)()
    except BaseException as error:  # a stranger's code may even exit
        return f"{name}() raised {text_of(error, repr)}"[:200]
    return ""
