"""A client that is honest but for one thing: it asks for the address of a node once."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from tests.e2e.honest_client import HonestClient


class ResolvesOnce(HonestClient):
    """Turns every name into an address when it is made, and keeps to that."""

    def __init__(self, nodes: Iterable[Any], settings: Any) -> None:
        super().__init__([(socket.gethostbyname(host), port) for host, port in nodes], settings)


resolves_once = ResolvesOnce
