"""Turn what callers store into bytes and 32 bits of flags, and back again.

Without a serde a value is bytes already, or text or a number that is encoded as pymemcache does,
and what is read stays bytes. With one, pymemcache's pair of methods does both: `serialize(key,
value)` gives (data, flags), `deserialize(key, data, flags)` gives the value. A serde is foreign
code: it runs before anything is sent or after a reply was read whole, never with a connection in
hand, and what it raises is the caller's error.
"""

from __future__ import annotations

from typing import Any

from client.commands import wire_key, wire_value
from client.errors import DecodeError, EncodeError, IllegalInput


class Values:
    """Both directions. `is_plain` says that there is no serde, so `decode` need not be called."""

    __slots__ = ("_serde", "is_plain")

    def __init__(self, serde: Any = None) -> None:
        self._serde = serde
        self.is_plain = serde is None

    def encode(self, key: str | bytes, value: Any, flags: int | None = None) -> tuple[bytes, int]:
        """Give the bytes to store and their flags; `flags` that are given win over the serde's.

        Raises EncodeError when the serde fails, IllegalInput for what memcached cannot hold.
        """
        if self.is_plain:
            data = value if type(value) is bytes else wire_value(value)
            return data, 0 if flags is None else flags
        try:
            # As from pymemcache: the key as it is sent here, the caller's own in `decode`.
            encoded, own = self._serde.serialize(wire_key(key), value)
            data = encoded if type(encoded) is bytes else wire_value(encoded)
        except IllegalInput:
            raise
        except Exception as error:
            raise EncodeError from error
        return data, own if flags is None else flags

    def decode(self, key: str | bytes, data: bytes, flags: int) -> Any:
        """Give the value of stored bytes. Raises DecodeError when the serde does."""
        if self.is_plain:
            return data
        try:
            return self._serde.deserialize(key, data, flags)
        except Exception as error:
            raise DecodeError from error
