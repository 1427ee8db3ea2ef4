"""What of a request may be asked of another node than the key's own, and in which words.

The rule: an answer from elsewhere must be one that a cache may give at any time, "there is nothing"
included. So reads, writes and touches move. These stay, and fail when their node does:
- counters: a second counter elsewhere would count from another number, and both would be wrong;
- what gives or takes a cas token or a lease: a token means something on the node that gave it, and
  tokens are small numbers, so one could fit an item of another node by chance;
- whatever is not known here.
A delete does both: the copies elsewhere are deleted as far as possible, and it fails all the same,
because the key's own node still has the value and will serve it again.

Pure functions of the bytes that `commands` and `meta` build; nothing is sent here.
"""

from __future__ import annotations

from enum import Enum, auto

RELATIVE_MAX_S = 30 * 24 * 3600  # memcached takes a greater expiry as an absolute Unix time


class Manner(Enum):
    """What becomes of a request whose node refused it."""

    MOVES = auto()
    STAYS = auto()
    FORGETS = auto()  # done elsewhere for what copies there are, and failed all the same


_MANNERS = {
    b"get": Manner.MOVES,
    b"gat": Manner.MOVES,
    b"mg": Manner.MOVES,
    b"set": Manner.MOVES,
    b"add": Manner.MOVES,
    b"replace": Manner.MOVES,
    b"append": Manner.MOVES,
    b"prepend": Manner.MOVES,
    b"touch": Manner.MOVES,
    b"ms": Manner.MOVES,
    b"mn": Manner.MOVES,  # the question whether meta is spoken; a fleet speaks alike
    b"delete": Manner.FORGETS,
    b"md": Manner.FORGETS,
}
# Flags of a meta command by which it stays: c gives a token, C takes one, N and R lease.
_STAYING_FLAGS = {b"mg": b"cNR", b"ms": b"C", b"md": b"C"}
_FLAGS_AT = {b"mg": 2, b"ms": 3, b"md": 2}
_EXPIRE_AT = {
    b"set": 3,
    b"add": 3,
    b"replace": 3,
    b"append": 3,
    b"prepend": 3,
    b"touch": 2,
    b"gat": 1,
}


def manner_of(request: bytes) -> Manner:
    """Say what becomes of a single request whose node refused it."""
    if not request:  # none at all: a connection is wanted, to hear what the node speaks
        return Manner.MOVES
    fields = _head(request)[0].split(b" ")
    verb = fields[0]
    manner = _MANNERS.get(verb, Manner.STAYS)
    staying = _STAYING_FLAGS.get(verb, b"")
    if any(flag[:1] in staying for flag in fields[_FLAGS_AT.get(verb, 1) :] if staying and flag):
        return Manner.STAYS
    return manner


def needs_meta(request: bytes) -> bool:
    """Say whether a node must speak meta for this request to be safe with it."""
    return request[:3] in {b"mg ", b"ms ", b"md ", b"ma "}


def capped(request: bytes, ttl_s: int, now: float) -> bytes:
    """Give a single request with its expiry limited to `ttl_s` from `now`, a Unix time.

    An expiry of 0, which is for ever, becomes `ttl_s`; a negative one, which is at once, stays.
    """
    head, rest = _head(request)
    fields = head.split(b" ")
    verb = fields[0]
    if verb in _EXPIRE_AT:
        at = _EXPIRE_AT[verb]
        fields[at] = _capped(fields[at], ttl_s, now)
    elif verb in _FLAGS_AT:
        flags = range(_FLAGS_AT[verb], len(fields))
        times = [at for at in flags if fields[at][:1] == b"T"]
        for at in times:
            fields[at] = b"T" + _capped(fields[at][1:], ttl_s, now)
        if verb == b"ms" and not times:  # none is for ever
            fields.append(b"T%d" % ttl_s)
    return b" ".join(fields) + rest


def _capped(expire: bytes, ttl_s: int, now: float) -> bytes:
    value = int(expire)
    if value < 0:
        return expire
    if value > RELATIVE_MAX_S:
        # From here on in seconds: memcached's own clock may be a second late.
        return b"%d" % min(value - int(now), ttl_s) if value > now else expire
    return b"%d" % (min(value, ttl_s) if value else ttl_s)


def _head(request: bytes) -> tuple[bytes, bytes]:
    end = request.find(b"\r\n")
    return request[:end], request[end:]
