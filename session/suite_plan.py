"""From the options to what a suite will run: every scenario resolved before anything is started.

A turn is a scenario in a round. Where the command line is silent about time scale or seed, the
suite's file speaks, and every further round takes the next seed: repeating a round shall break
other nodes, and the run's own plan tells which. Nothing here is started.
"""

from __future__ import annotations

import copy
import dataclasses
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from faults.errors import ScenarioError
from faults.suite import CONTROL, Entry, Suite, load_suite
from settings import (
    ConfigError,
    Settings,
    read_retries,
    read_rounds,
    read_seed,
    resolve_settings,
)

PAUSE_S = 5.0
"""Between the end of a scenario and the next one: what came late is gone by then."""

PREPARING_S = 3.0  # starting servers, filling keys, judging: only for the estimate
CONTROL_S = 30.0  # of a scenario without an end, where nobody says how long


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One scenario in one round. `place` counts from 1 within the round."""

    entry: Entry
    round: int
    place: int
    settings: Settings

    @property
    def lasts_s(self) -> float:
        """Length of the run, as planned."""
        plan = self.settings.plan
        return plan.duration_s if plan is not None else self.settings.duration_s or CONTROL_S


class SuitePlan:
    """What a suite will run. `rounds` is None for one that goes round until it is stopped."""

    def __init__(self, suite: Suite, options: Namespace, *, rounds: int | None) -> None:
        self.rounds = rounds
        self.keep_going = bool(options.keep_going)
        self.retries = read_retries(options)
        # Of a suite it is the soak that is stopped after so long: each scenario ends by itself.
        is_soak = options.suite and options.loop
        self.until_s: float | None = float(options.run_time or 0) or None if is_soak else None
        self._suite = suite
        self._options = copy.copy(options)
        self._is_of_suite = bool(options.suite)
        self._first = [self._resolve(entry, 1, at) for at, entry in enumerate(suite.entries, 1)]

    @property
    def name(self) -> str:
        """Name of the suite; that of the scenario where one is only repeated."""
        return self._suite.name or self._suite.entries[0].scenario

    @property
    def first(self) -> list[Turn]:
        """The turns of the first round."""
        return list(self._first)

    def turn(self, index: int) -> Turn | None:
        """Give a turn by its number from 0, None behind the last one.

        Raises what `settings.resolve_settings` raises, beyond the first round only.
        """
        number, at = divmod(index, len(self._first))
        if number == 0:
            return self._first[at]
        if self.rounds is not None and number >= self.rounds:
            return None
        return self._resolve(self._suite.entries[at], number + 1, at + 1)

    def label(self, index: int) -> Turn:
        """Give the same without asking whether it can be: who and when, with the first settings."""
        number, at = divmod(index, len(self._first))
        first = self._first[at]
        seed = _seed(self._options, first.entry, number + 1)
        settings = dataclasses.replace(first.settings, seed=seed)
        return dataclasses.replace(first, round=number + 1, settings=settings)

    def words(self, spell_time: Callable[[float], str]) -> str:
        """Say what is about to happen and how long it will take."""
        count = len(self._first)
        round_s = sum(turn.lasts_s + PREPARING_S for turn in self._first) + PAUSE_S * (count - 1)
        text = f"{count} scenario{'s' if count > 1 else ''}"
        if self.rounds == 1:
            return f"{text}, about {spell_time(round_s)}"
        every_s = round_s + PAUSE_S
        if self.rounds is None:
            until = "stopped" if self.until_s is None else f"{spell_time(self.until_s)} are over"
            return f"{text} a round, about {spell_time(every_s)} each, until {until}"
        whole = spell_time(self.rounds * every_s - PAUSE_S)
        return f"{text} in each of {self.rounds} rounds, about {whole}"

    def _resolve(self, entry: Entry, number: int, place: int) -> Turn:
        options = copy.copy(self._options)
        options.scenario = entry.scenario
        if options.time_scale in (None, "") and entry.time_scale is not None:
            options.time_scale = str(entry.time_scale)
        options.seed = str(_seed(options, entry, number))
        if self._is_of_suite:
            options.run_time = None
        try:
            settings = resolve_settings(options)
        except ScenarioError as why:
            raise ScenarioError(f"suite {self.name}: {why}") from None
        if settings.plan is None and (self._is_of_suite or not options.run_time):
            settings = dataclasses.replace(settings, duration_s=entry.duration_s or CONTROL_S)
        return Turn(entry=entry, round=number, place=place, settings=settings)


def plan_suite(options: Namespace) -> SuitePlan | None:
    """Give what the options ask to be run one after the other, None for a single run.

    Raises ConfigError, or what resolving a scenario raises; starts nothing.
    """
    rounds = read_rounds(options)
    if options.suite:
        if options.scenario not in ("", CONTROL):
            raise ConfigError(
                f"--suite {options.suite} and --scenario {options.scenario}: give one of the two"
            )
        if options.run_time and not options.loop:
            raise ConfigError(
                "--run-time says nothing to a suite, whose scenarios end by themselves: shrink "
                "them with --time-scale, or give --loop as well, which ends after --run-time"
            )
        plan = SuitePlan(load_suite(options.suite), options, rounds=rounds)
        if options.baseline and not any(turn.settings.earlier for turn in plan.first):
            raise ConfigError(
                f"--baseline {options.baseline} has no scenario of the suite {plan.name}: "
                "give the folder of an earlier run of the same suite"
            )
        return plan
    if rounds == 1 and not read_retries(options):
        return None
    one = Entry(scenario=options.scenario)
    return SuitePlan(Suite(name="", description="", entries=(one,)), options, rounds=rounds)


def _seed(options: Namespace, entry: Entry, number: int) -> int:
    """Give the seed of a round; one that a suite's file fixes stays, unless the user says other."""
    if options.seed in (None, "") and entry.seed is not None:
        return entry.seed
    return read_seed(options) + number - 1
