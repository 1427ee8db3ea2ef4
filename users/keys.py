"""Which key comes next: popularity as an endless stream, drawn in blocks.

A draw by bisect costs a third of a microsecond, so streams are filled by the block and read with
`next()`. Everything is seeded by (seed, worker, user): the same run draws the same keys in every
user, and no two users draw the same ones.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

T = TypeVar("T")

BLOCK = 512  # draws at a time: some 100 us of work, well below a tick of the hub

BATCH_MU = 2.3
BATCH_SIGMA = 1.4
BATCH_LIMIT = 400
"""A log-normal distribution cut off at 400 keys: mean 24.2, p95 96. Facebook's multi-gets ask for
24 keys on average and 95 at p95 (NSDI 2013); no log-normal without a limit has both."""


def make_rng(seed: int, worker_index: int, user_index: int) -> random.Random:
    """Give the random numbers of one user."""
    return random.Random(f"{seed}/{worker_index}/{user_index}")


def drawn(rng: random.Random, items: Sequence[T], weights: Sequence[float]) -> Iterator[T]:
    """Draw items for ever, each as often as its weight says."""
    cumulative = list(accumulate(weights))
    while True:
        yield from rng.choices(items, cum_weights=cumulative, k=BLOCK)


def mixed_ops(rng: random.Random, mix: Mapping[str, int]) -> Iterator[str]:
    """Draw operations for ever by the weights of a mix."""
    return drawn(rng, list(mix), list(mix.values()))


def hot_set(
    rng: random.Random, hot: Sequence[str], others: Sequence[str], hot_share: float
) -> Iterator[str]:
    """Draw from the hot keys with probability `hot_share`, else from the others, each evenly."""
    weights = [hot_share / len(hot)] * len(hot) + [(1 - hot_share) / len(others)] * len(others)
    return drawn(rng, [*hot, *others], weights)


def uniform(rng: random.Random, keys: Sequence[str]) -> Iterator[str]:
    """Draw every key equally often."""
    return drawn(rng, keys, [1.0] * len(keys))


def zipf_weights(count: int, alpha: float) -> list[float]:
    """Give the weight of rank 1 to `count`: 1 / rank ** alpha."""
    return [rank**-alpha for rank in range(1, count + 1)]


def zipf(rng: random.Random, keys: Sequence[str], alpha: float) -> Iterator[str]:
    """Draw keys by Zipf's law; the first key is the most popular one."""
    return drawn(rng, keys, zipf_weights(len(keys), alpha))


def batch_size_weights() -> list[float]:
    """Give the probability of a batch of 1, 2, ... BATCH_LIMIT keys (not normalised)."""

    def below(size: float) -> float:
        return 0.5 * (1 + math.erf((math.log(size) - BATCH_MU) / (BATCH_SIGMA * math.sqrt(2))))

    return [below(size + 0.5) - below(size - 0.5) for size in range(1, BATCH_LIMIT + 1)]


def batches(rng: random.Random, keys: Sequence[str]) -> Iterator[list[str]]:
    """Draw batches of distinct keys for ever, all keys equally often.

    Sizes are as `batch_size_weights` says; `keys` must number BATCH_LIMIT at least. Each batch is
    drawn when it is asked for: a block of them would hold up the process for milliseconds.
    """
    for size in drawn(rng, range(1, BATCH_LIMIT + 1), batch_size_weights()):
        yield rng.sample(keys, size)
