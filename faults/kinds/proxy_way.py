"""What the kinds of Toxiproxy share: which way a fault hits.

Replies (downstream, the default), requests (upstream), or both. What a client gave up may still be
on its way and arrive late; with requests, a write it no longer believes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from faults.kinds.base import FaultSpec

Direction = Literal["downstream", "upstream", "both"]


class OneWay(FaultSpec):
    """A kind that hits replies, requests, or both."""

    direction: Direction = "downstream"

    def way(self) -> Mapping[str, float | str]:
        """Give the direction where it is not downstream."""
        # The default is left out: a plan names what is unusual.
        return {} if self.direction == "downstream" else {"direction": self.direction}


def what_is_hit(attributes: Mapping[str, Any]) -> str:
    """Give the plain word for the bytes that a direction means."""
    words = {"downstream": "replies", "upstream": "requests", "both": "requests and replies"}
    return words[str(attributes.get("direction", "downstream"))]
