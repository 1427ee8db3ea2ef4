"""A plan asks the packet filter of this machine, and leaves it as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from faults.backends.nft import CheckingNft, Nft, find_nft, is_orphan

CHECKOUT = Path(__file__).resolve().parent.parent.parent.parent
OWN = ("ip", "memquake_0_0_0_checked")


def nft() -> str:
    program = find_nft()
    assert program is not None, "nft is not installed: run `make setup`"
    return program


def left_behind() -> list[str]:
    """Name the tables of processes of ours that are gone."""
    return [name for _, name in Nft(nft()).tables() if is_orphan(name)]


def test_what_is_only_checked_is_not_there_afterwards() -> None:
    """The kernel sees the rules, and forgets them."""
    CheckingNft(nft()).load(f"add table {OWN[0]} {OWN[1]}\n")
    assert Nft(nft()).table(OWN) is None


def test_a_plan_of_kernel_faults_leaves_the_packet_filter_alone() -> None:
    """And says the same each time."""
    before = left_behind()
    command = [sys.executable, "-m", "faults", "plan", "asymmetric-partition", "--seed", "7"]
    texts = {
        subprocess.run(command, capture_output=True, check=True, cwd=CHECKOUT, timeout=60).stdout
        for _ in range(2)
    }
    assert len(texts) == 1
    assert left_behind() == before
