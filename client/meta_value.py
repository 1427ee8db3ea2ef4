"""Read the reply to `mg key v O<opaque>`, however its bytes are cut up.

The opaque comes back on a hit and on a miss, so a reply that does not carry it belongs to another
request, whatever it says. The usual case, a reply that arrives whole, is read where it is awaited
(`node`); this is the general one.
"""

from __future__ import annotations

from client.errors import ProtocolError
from client.replies import MAX_VALUE, error_of
from client.reply_stream import Readable, ReplyStream


def finish_value(
    connection: Readable, begun: bytes, opaque: bytes, deadline: float
) -> bytes | None:
    """Give the value, or None on a miss. `opaque` is ` O<n>` and a line end, as it was sent.

    Raises ProtocolError for a reply that is not to this request, and what reading raises.
    """
    stream = ReplyStream(connection, deadline, begun)
    line = stream.line()
    # Behind the opaque stand the marks of a lease: W won, Z held by another, X stale.
    head, _, marks = line.partition(opaque[:-2])
    if marks.strip(b" WXZ") or len(head) == len(line):
        error = error_of(line, has_data=False)
        error.in_step = False  # without the opaque nothing says whose reply this is
        raise error
    value: bytes | None
    if head == b"EN":
        value = None
    else:
        size = head[3:]
        if not head.startswith(b"VA ") or not size.isdigit() or int(size) > MAX_VALUE:
            raise ProtocolError
        value = stream.block(int(size))
        if not value and marks and b"X" not in marks:
            value = None  # the place-holder of a lease: nothing is stored yet
    if not stream.is_empty:
        raise ProtocolError("bytes behind the reply")
    return value
