"""Read the answers to many writes: one line each, in the order of the requests.

When every write succeeded, which is the rule, one comparison says so. Over meta every line brings
the chunk's opaque back; a refusal has none, and its place says whose it is.

Writes are never quiet: the refusal of a quiet `ms` is a line without a key, and nothing would say
which of many it was.

No I/O: bytes in, answers out. It knows neither connections nor nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from client.errors import ProtocolError, ServerError
from client.replies import error_of
from client.reply_stream import MAX_LINE


class Lines:
    """The reply to one chunk of writes.

    `answers` gives the meaning of each line, the usual one first. `accept(names, answer)` is told
    what was answered, `refuse(name, error)` what the node refused.
    """

    __slots__ = ("_accept", "_answers", "_has_data", "_names", "_refuse", "_rest", "answered")

    def __init__(
        self,
        names: Sequence[Any],
        answers: Mapping[bytes, Any],
        accept: Callable[[Sequence[Any], Any], None],
        refuse: Callable[[Any, ServerError], None],
        *,
        has_data: bool,
    ) -> None:
        self._names = names
        self._answers = answers
        self._accept = accept
        self._refuse = refuse
        self._has_data = has_data
        self.answered = 0  # keys, and thereby lines that have come
        self._rest = b""

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; None while more must come, else what lies behind the reply.

        Raises ProtocolError, and ClientError where a request was not understood.
        """
        usual, answer = next(iter(self._answers.items()))
        # Only of a reply's first bytes: behind the beginning of a line, `STORED` is not stored.
        is_first = not self.answered and not self._rest
        if is_first and data == (usual + b"\r\n") * len(self._names):
            self.answered = len(self._names)
            self._accept(self._names, answer)
            return b""
        data = self._rest + data
        at = 0
        while self.answered < len(self._names):
            end = data.find(b"\r\n", at)
            if end - at > MAX_LINE or (end < 0 and len(data) - at > MAX_LINE):
                raise ProtocolError("a line longer than any that memcached sends")
            if end < 0:
                self._rest = data[at:]
                return None
            self._take(self._names[self.answered], data[at:end])
            self.answered += 1
            at = end + 2
        return data[at:]

    def _take(self, name: Any, line: bytes) -> None:
        if line in self._answers:
            self._accept((name,), self._answers[line])
            return
        error = error_of(line, has_data=self._has_data)
        if not isinstance(error, ServerError):
            error.in_step = False  # replies to the keys that follow are still to come
            raise error
        self._refuse(name, error)
