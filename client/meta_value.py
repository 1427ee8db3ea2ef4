"""Read the reply to `mg key v O<opaque>`, however its bytes are cut up.

The opaque comes back on a hit and on a miss, so a reply that does not carry it belongs to another
request, whatever it says. The usual case, a reply that arrives whole, is read where it is awaited
(`node`); this is the general one.
"""

from __future__ import annotations

from client.errors import ProtocolError
from client.replies import MAX_VALUE, Readable, ReplyStream, error_of


def finish_value(
    connection: Readable, begun: bytes, opaque: bytes, deadline: float
) -> bytes | None:
    """Give the value, or None on a miss. `opaque` is ` O<n>` and a line end, as it was sent.

    Raises ProtocolError for a reply that is not to this request, and what reading raises.
    """
    stream = ReplyStream(connection, deadline, begun)
    line = stream.line()
    if not line.endswith(opaque[:-2]):
        error = error_of(line, has_data=False)
        error.in_step = False  # without the opaque nothing says whose reply this is
        raise error
    value: bytes | None
    if line == b"EN" + opaque[:-2]:
        value = None
    else:
        size = line[3 : 2 - len(opaque)]
        if not line.startswith(b"VA ") or not size.isdigit() or int(size) > MAX_VALUE:
            raise ProtocolError
        value = stream.block(int(size))
    if not stream.is_empty:
        raise ProtocolError("bytes behind the reply")
    return value
