"""Whether a stall of the hub is the client's doing: pure arithmetic on what a watchdog noted.

A stall is the time in which the hub's ticker did not get its turn. The rule: first everything that
somebody else took is taken off (waiting for a processor, time stolen from the machine, collections
of garbage, other threads of the process); only what is left can be the client's, and only where
samples of the stack say so. Many short calls that take turns are a busy generator and nobody's
stall, so one and the same call must have held the hub, or the client must have slept in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from session.frames import Mine

STALL_S = 0.1
"""Shorter stalls are not counted."""

SAMPLES_NEEDED = 4
SAME_SHARE = 0.9  # of the samples; the first or last may catch the hub before or after the stall
HELD_SHARE = 0.5  # of the stall, between the first sample of a call and the last
LOCKED_TURNS_S = 0.02  # a thread that waits for the interpreter wakes every 5 ms; half is enough
TURNS_A_SAMPLE = 4  # sleeping, and reading two files
LOCKED_RAN = 0.8  # of what it had
PROGRESS = 3  # different instructions seen: the thread really ran


class Blame(StrEnum):
    """What came of looking at a stall."""

    CLIENT = "client"
    LIKELY = "likely"  # the client's if the same place shows up again
    OTHERS = "others"


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Running totals in seconds at one moment; `turns` count how often a thread was let run."""

    begun: float  # reading them began
    at: float  # and ended
    ran: float = 0.0  # the hub's thread on a processor
    queued: float = 0.0  # it was ready to run and no processor was free
    process: float = 0.0  # all threads of the process
    own_turns: int = 0  # of the watchdog's thread
    stolen: float = 0.0  # by other tenants of the machine
    collected: float = 0.0  # collections of garbage


@dataclass(frozen=True, slots=True)
class Sample:
    """The hub's thread at one moment; `mine` is None where the stack is not the client's."""

    at: float
    is_asleep: bool
    mine: Mine | None


@dataclass(frozen=True, kw_only=True)
class Stall:
    """One stall: its length by the ticker, the totals around it, the samples in it."""

    at: float
    length_s: float
    before: Times
    after: Times
    samples: Sequence[Sample]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Who is to blame, for how long, and where the client was."""

    blame: Blame
    at: float
    length_s: float
    had_s: float = 0.0  # of it, what the client had
    place: str = ""
    how: str = ""

    def to_wire(self, epoch: float) -> dict[str, Any]:
        """Give plain types; the time counts from `epoch`."""
        return {
            "at_s": round(self.at - epoch, 3),
            "length_s": round(self.length_s, 3),
            "had_s": round(self.had_s, 3),
            "place": self.place,
            "how": self.how,
        }


def judge_stall(stall: Stall) -> Finding:
    """Say whose doing a stall was."""
    ran, others, had_s = _account(stall)
    mine = [sample for sample in stall.samples if sample.mine is not None]
    blame, how = Blame.OTHERS, ""
    place = mine[0].mine.place if mine and mine[0].mine else ""
    if stall.length_s > STALL_S and had_s > STALL_S and mine:
        # The cases, in order: 1. the client sleeps in a system call; 2. one call of it computes;
        # 3. one call keeps the interpreter's lock, so that nobody could look.
        slept_s = had_s - ran - others
        if _enough(stall, mine) and _share(stall, mine, asleep=True) and slept_s > STALL_S:
            blame, how = Blame.CLIENT, "slept in a blocking call"
        elif _enough(stall, mine) and _is_one_call(stall, mine) and had_s - others > STALL_S:
            blame, how = _by_progress(mine), "computed without yielding"
        elif locked := _locked_place(stall, had_s):
            blame, how, place = Blame.LIKELY, "kept the interpreter to itself", locked
    return Finding(
        blame=blame, at=stall.at, length_s=stall.length_s, had_s=had_s, place=place, how=how
    )


def settle(findings: Sequence[Finding]) -> tuple[list[Finding], int]:
    """Give the client's stalls, and how many were somebody else's or nobody can tell.

    A likely one counts where the same place of the client shows up in another: chance would hardly
    stop the machine twice there.
    """
    suspect = [item for item in findings if item.blame is not Blame.OTHERS]
    places = [item.place for item in suspect]
    found = [item for item in suspect if item.blame is Blame.CLIENT or places.count(item.place) > 1]
    return found, len(findings) - len(found)


def _account(stall: Stall) -> tuple[float, float, float]:
    """Give (time the hub's thread ran, other threads ran, what nobody but it can have had)."""
    before, after = stall.before, stall.after
    ran = max(0.0, after.ran - before.ran)
    others = max(0.0, after.process - before.process - ran)
    queued, stolen = after.queued - before.queued, after.stolen - before.stolen
    collected = after.collected - before.collected
    seen_s = min(stall.length_s, after.at - before.begun)  # the totals may not cover all of it
    had_s = seen_s - max(0.0, queued) - max(0.0, stolen) - max(0.0, collected)
    return ran, others, max(0.0, had_s)


def _enough(stall: Stall, mine: Sequence[Sample]) -> bool:
    return len(mine) >= SAMPLES_NEEDED and len(mine) >= SAME_SHARE * len(stall.samples)


def _share(stall: Stall, mine: Sequence[Sample], *, asleep: bool) -> bool:
    matching = sum(1 for sample in mine if sample.is_asleep is asleep)
    return matching >= SAME_SHARE * len(stall.samples)


def _is_one_call(stall: Stall, mine: Sequence[Sample]) -> bool:
    """Tell whether the same call was there from the first look to the last."""
    middle = mine[len(mine) // 2].mine
    same = [s for s in mine if s.mine and middle and s.mine.call is middle.call]
    if len(same) < SAME_SHARE * len(stall.samples):
        return False
    return same[-1].at - same[0].at >= HELD_SHARE * stall.length_s


def _by_progress(mine: Sequence[Sample]) -> Blame:
    """Believe what moved; what stood still may have been a processor that was taken away."""
    spots = {sample.mine.spot for sample in mine if sample.mine}
    return Blame.CLIENT if len(spots) >= PROGRESS else Blame.LIKELY


def _locked_place(stall: Stall, had_s: float) -> str:
    """Give where the client was when the watchdog, awake but locked out, got in again.

    Who waits for the interpreter's lock gets it 5 ms later, unless one instruction takes longer:
    then the stack seen next is that of the one who held it. "" where that was not the client, or
    the hub's thread did not run meanwhile, or the watchdog itself was not let run.
    """
    before, after = stall.before, stall.after
    looks = [stall.at, *(sample.at for sample in stall.samples)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(looks)]
    if not gaps or after.ran - before.ran < LOCKED_RAN * had_s:
        return ""
    longest = gaps.index(max(gaps))
    waits = after.own_turns - before.own_turns - TURNS_A_SAMPLE * len(gaps)
    mine = stall.samples[longest].mine
    is_awake = waits >= gaps[longest] / LOCKED_TURNS_S
    if mine is None or not is_awake or had_s * gaps[longest] / stall.length_s <= STALL_S:
        return ""
    return mine.place
