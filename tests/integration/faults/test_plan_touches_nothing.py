"""A plan asks the packet filter of this machine, and leaves it as it was.

Without one, or without the right to use it, the plan says so.
"""

from __future__ import annotations

import subprocess
import sys

from faults.backends.nft import CheckingNft, Nft, find_nft, is_orphan
from memquake.paths import CHECKOUT
from tests.integration.faults.test_kernel_faults import why_no_filter

OWN = ("ip", "memquake_0_0_0_checked")


def usable_nft() -> Nft | None:
    """Return the packet filter of this machine where this process may use it."""
    program = find_nft()
    return None if program is None or why_no_filter() else Nft(program)


def left_behind(nft: Nft | None) -> list[str]:
    """Name the tables of processes of ours that are gone."""
    return [name for _, name in nft.tables() if is_orphan(name)] if nft else []


def test_what_is_only_checked_is_not_there_afterwards() -> None:
    """The kernel sees the rules, and forgets them."""
    nft = usable_nft()
    if nft is None:
        assert why_no_filter()
        return
    CheckingNft(nft.program).load(f"add table {OWN[0]} {OWN[1]}\n")
    assert nft.table(OWN) is None


def test_a_plan_of_kernel_faults_leaves_the_packet_filter_alone() -> None:
    """And says the same each time: the packet filter's rules, or what is done without it."""
    nft = usable_nft()
    before = left_behind(nft)
    command = [sys.executable, "-m", "faults", "plan", "asymmetric-partition", "--seed", "7"]
    texts = {
        subprocess.run(
            command, capture_output=True, check=True, cwd=CHECKOUT, timeout=60, text=True
        ).stdout
        for _ in range(2)
    }
    assert len(texts) == 1
    text = texts.pop()
    assert ("nftables: " in text) is (nft is not None)
    assert (f"(no packet filter: {why_no_filter('partition')}" in text) is (nft is None)
    assert left_behind(nft) == before
