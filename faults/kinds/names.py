"""Kinds that change what a node's name means: the record in DNS, not the way to an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import model_validator

from faults.effect import Effect
from faults.errors import PlacedError
from faults.kinds.base import FaultSpec


class DnsChange(FaultSpec):
    """The node is gone from its old address; its name leads to the new one when this is over."""

    backend = "names"
    # While it lasts nobody reaches the node. What a client makes of the new record shows after it.
    effects: ClassVar[frozenset[Effect]] = frozenset({Effect.UNAVAILABLE})
    emulated_by = (
        "load processes: the harness answers for the node's name; Toxiproxy: the proxy at the old "
        "address takes connections and drops every request; at the end the name has the address "
        "of another proxy of the node, and the old one stays silent"
    )
    kind: Literal["dns_change"]
    old: Literal["silent", "refuses"] = "silent"

    @model_validator(mode="after")
    def _once(self) -> DnsChange:
        if self.repeat is not None:
            problem = f"fault {self.id} gives up an address for good: leave repeat out"
            raise PlacedError(("repeat",), problem)
        return self

    @classmethod
    def words_of(cls, attributes: Mapping[str, object]) -> str:
        """Say what the old address does."""
        if attributes.get("old") != "refuses":
            return cls.emulated_by
        words = cls.emulated_by.replace(
            "takes connections and drops every request", "is closed, connections with it"
        )
        return words.replace("stays silent", "stays closed")

    def attributes(self) -> Mapping[str, float | str]:
        """Give what the old address does: silent, refuses."""
        return {"old": self.old}


KINDS: Mapping[str, type[FaultSpec]] = {"dns_change": DnsChange}
