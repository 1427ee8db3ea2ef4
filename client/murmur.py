"""MurmurHash3 (x86, 32 bit, seed 0) of one text behind many prefixes: rendezvous hashing's need.

hash(name + key) is wanted for every name, so the whole blocks of each name are hashed once, when
the ring is made, and the blocks of a key once for all names that end at the same place in a block.
Austin Appleby's algorithm, in the public domain. It knows nothing of nodes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

BLOCK = 4
_C1 = 0xCC9E2D51
_C2 = 0x1B873593
_32_BITS = 0xFFFFFFFF


def murmur_behind(prefixes: Sequence[bytes]) -> Callable[[bytes], list[int]]:
    """Give the function from a text to the 32-bit hash of each prefix + text, in their order."""
    begun = [(_begin(prefix), prefix) for prefix in prefixes]
    ends = sorted({len(prefix) % BLOCK for prefix in prefixes})

    def hashes(text: bytes) -> list[int]:
        size = len(text)
        if size < BLOCK:
            return [_finish(state, _split(prefix)[1] + text, prefix) for state, prefix in begun]
        shared = {end: _scramble(text[-end % BLOCK :]) for end in ends}
        found = []
        for start, prefix in begun:
            end = len(prefix) % BLOCK
            blocks, tail = shared[end]
            state = start
            if end:
                state = _add(state, _mix(prefix[-end:] + text[: BLOCK - end]))
            for word in blocks:  # _add, written out
                state ^= word
                state = (((state << 13) | (state >> 19)) * 5 + 0xE6546B64) & _32_BITS
            found.append(_avalanche(state ^ tail ^ (len(prefix) + size)))
        return found

    return hashes


def _split(data: bytes) -> tuple[bytes, bytes]:
    whole = len(data) - len(data) % BLOCK
    return data[:whole], data[whole:]


def _begin(prefix: bytes) -> int:
    state = 0
    for word in _scramble(_split(prefix)[0])[0]:
        state = _add(state, word)
    return state


def _finish(state: int, data: bytes, prefix: bytes) -> int:
    """End a hash whose last blocks are all in `data`."""
    blocks, tail = _scramble(data)
    for word in blocks:
        state = _add(state, word)
    whole = len(prefix) - len(prefix) % BLOCK
    return _avalanche(state ^ tail ^ (whole + len(data)))


def _scramble(data: bytes) -> tuple[list[int], int]:
    """Give the mixed blocks of `data` and its mixed tail, 0 when there is none."""
    count = len(data) // BLOCK
    blocks = []
    for value in struct.unpack_from(f"<{count}I", data):
        word = (value * _C1) & _32_BITS
        blocks.append((((word << 15) | (word >> 17)) * _C2) & _32_BITS)
    tail = data[count * BLOCK :]
    return blocks, _mix(tail)


def _mix(block: bytes) -> int:
    word = (int.from_bytes(block, "little") * _C1) & _32_BITS
    return (((word << 15) | (word >> 17)) * _C2) & _32_BITS


def _add(state: int, word: int) -> int:
    state ^= word
    return (((state << 13) | (state >> 19)) * 5 + 0xE6546B64) & _32_BITS


def _avalanche(state: int) -> int:
    state = ((state ^ (state >> 16)) * 0x85EBCA6B) & _32_BITS
    state = ((state ^ (state >> 13)) * 0xC2B2AE35) & _32_BITS
    return state ^ (state >> 16)
