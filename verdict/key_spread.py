"""Whether the client uses every node: how the keys that it stored are spread.

After the prefill, with every node up, the servers were asked for every key. Keys are counted and
not calls, because one hot key is no fault of any ring. A ring may be uneven by a third; a node that
gets less than a tenth of its share is one that nobody needs, and that the others stand in for.
"""

from __future__ import annotations

from collections import Counter

from memquake.limits import LIMITS
from verdict.answers import held, inconclusive, not_applicable, percent
from verdict.compare import taken_back
from verdict.evidence import lacking
from verdict.ledger import ledgers_of
from verdict.model import CheckResult, Contributor
from verdict.view import View

NAME = "load_spread"
KEYS_NEEDED = LIMITS[NAME].needed
PREFILL = (-1.0, 0.0)
"""Keys are placed before second 0."""
EXPECTED_NEEDED = 20
"""Keys of a node's even share from which on less than a tenth of it is no chance: one or none of
20 comes up for one node in twenty million of even rings."""


def load_spread(view: View) -> CheckResult:
    """Use every node: each gets at least a tenth of an even share of the keys."""
    limit = view.limit(NAME)
    nodes = view.facts.nodes
    if len(nodes) < 2:
        return not_applicable(NAME, "there is one node only")
    placed: Counter[str] = Counter()
    for worker in view.facts.workers:
        placed.update({node: count for node, count in worker.keys_placed.items() if node in nodes})
    keys = placed.total()
    if keys < KEYS_NEEDED:
        why = f"the nodes hold {keys} of its keys, {KEYS_NEEDED} needed"
        if any(ledger.hides_keys for ledger in ledgers_of(view)):
            why += ": it gives them names that nobody can tell"
        few = lacking("keys", keys, KEYS_NEEDED, span=PREFILL)
        return inconclusive(NAME, view.because(why), limit=limit, evidence=lambda: few)
    even = keys / len(nodes)
    least = min(nodes, key=lambda node: placed[node])
    share = placed[least] / even
    why = f"{least} got {placed[least]:,} of {keys:,} keys, {percent(share)} of an even share"
    result = held(
        NAME,
        share >= limit,
        why,
        observed=share,
        limit=limit,
        evidence=lambda: [
            _left_out(node, placed[node], keys) for node in nodes if placed[node] < limit * even
        ],
    )
    if share < limit and even < EXPECTED_NEEDED:
        return taken_back(result, f"{even:.0f} keys a node are too few to tell")
    return result


def _left_out(node: str, keys: int, of: int) -> Contributor:
    return Contributor(
        outcome="keys that it holds after the prefill",
        node=node,
        from_s=PREFILL[0],
        to_s=PREFILL[1],
        count=keys,
        share=keys / of,
    )
