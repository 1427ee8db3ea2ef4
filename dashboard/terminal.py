"""The terminal during a headless run: one line that renews itself, or a line every few seconds.

On a terminal the line is rewritten in place; in a log a new one is printed now and then and at
every change of phase or fault. Locust's own tables stay on standard error.
"""

from __future__ import annotations

import shutil
import sys
from typing import Any, TextIO

import gevent

from dashboard.state import live_state

TTY_EVERY_S = 0.5
LOG_EVERY_S = 5.0
BAR_CELLS = 20
MARKS = {"closed": "+", "half_open": "~", "open": "x"}
COLORS = {"closed": "32", "half_open": "33", "open": "31"}


class LiveLine:
    """Progress through the phases, with the figures of the last seconds."""

    def __init__(self, session: Any, stream: TextIO | None = None) -> None:
        self.session = session
        self._stream = stream if stream is not None else sys.stdout
        self.tty = self._stream.isatty()
        self._stopped = False
        self._shown = ""
        self._key: tuple[str, str] | None = None
        self._last_log = 0.0
        self._run: Any = None  # the one that is shown

    def run(self) -> None:
        """Print until stopped."""
        while not self._stopped:
            self._show()
            gevent.sleep(TTY_EVERY_S)

    def stop(self) -> None:
        """End the line, so that what follows starts on one of its own."""
        if not self._stopped:
            self._stopped = True
            self._tell_news()
            if self.tty and self._shown:
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    def _show(self) -> None:
        self._tell_news()
        if self.session.run is None:
            return
        if self.session.run is not self._run:
            self._run, self._key, self._last_log = self.session.run, None, 0.0
        elif self._key is not None and self._is_between():
            return
        state = live_state(self.session)
        faults = active_faults(state)
        key = (state["phase"], faults)
        if self._key is None:
            self._say(headline(state, self.session.run, self._place()))
        if self.tty:
            if key != self._key and self._key is not None:
                self._say(milestone(state, faults))
            width = shutil.get_terminal_size((100, 24)).columns - 1
            self._shown = line(state, faults, color=True, width=width)
            self._stream.write("\r\x1b[K" + self._shown)
            self._stream.flush()
        elif key != self._key or state["t"] - self._last_log >= LOG_EVERY_S:
            self._last_log = state["t"]
            self._say(line(state, faults, color=False, width=200))
        self._key = key

    def _tell_news(self) -> None:
        """Say what a suite has to say of itself: its length, and how each scenario ended."""
        suite = self.session.succession.suite
        while suite is not None and suite.news:
            self._say(suite.news.pop(0))

    def _is_between(self) -> bool:
        """Whether a suite waits for its next scenario: the last one has been told of."""
        return bool(self.session.succession.suite) and self.session.run.finished.is_set()

    def _place(self) -> str:
        suite = self.session.succession.suite
        return suite.place if suite is not None else ""

    def _say(self, text: str) -> None:
        self._stream.write(("\r\x1b[K" if self.tty else "") + text + "\n")
        self._stream.flush()


def headline(state: dict[str, Any], run: Any, place: str = "") -> str:
    """Give the first line: what is about to happen; `place` is that of the run in its suite."""
    rate = run.settings.target_rate
    load = f"{rate:g} iterations/s" if rate else "closed loop"
    length = f"{state['planned_s']:.0f} s" if state["planned_s"] else "until stopped"
    return (
        f"{place or 'memquake'}: {state['scenario']}, client {state['client']}, "
        f"{run.expected_users} users, {load}, {len(state['nodes'])} nodes, "
        f"seed {state['seed']}, {length}"
    )


def active_faults(state: dict[str, Any]) -> str:
    """Name the faults that are on, "" when there is none."""
    on = [f for f in state["faults"] if f["state"] in ("active", "injected")]
    return "; ".join(f"{f['kind']} {','.join(f['nodes'])}" for f in on)


def milestone(state: dict[str, Any], faults: str) -> str:
    """Give the line that stays on the screen when a phase or a fault changes."""
    return f"  {state['t']:6.1f} s  {state['phase']:<14}{faults or 'no fault'}"


def line(state: dict[str, Any], faults: str, *, color: bool, width: int) -> str:
    """Give one line of at most `width` visible characters."""
    n = state["numbers"]
    planned = state["planned_s"]
    done = min(1.0, state["t"] / planned) if planned else 0.0
    cells = round(done * BAR_CELLS)
    bar = "[" + "#" * cells + "." * (BAR_CELLS - cells) + "] " if planned else ""
    clock = f"{state['t']:.0f}/{planned:.0f} s" if planned else f"{state['t']:.0f} s"
    text = f"{bar}{clock} {state['phase']}"
    if n:
        text += (
            f"  {_f(n['ops'], 0)} op/s  {_f(_percent(n['error_rate']), 1)} % errors"
            f"  p50 {_f(n['service_p50_ms'], 2)} p99 {_f(n['service_p99_ms'], 1)} ms"
        )
    # The fault stands before the nodes: a narrow terminal cuts off what comes last.
    tail = f"  FAULT {faults}" if faults else ""
    tail += "  " + " ".join(
        row["name"] + MARKS.get(row.get("breaker", ""), "") for row in _rows(state)
    )
    plain = (text + tail)[:width]
    if not color:
        return plain
    for row in _rows(state):
        mark = MARKS.get(row.get("breaker", ""), "")
        if mark:
            word = row["name"] + mark
            plain = plain.replace(word, f"\x1b[{COLORS[row['breaker']]}m{word}\x1b[0m", 1)
    return plain.replace("FAULT", "\x1b[1;31mFAULT\x1b[0m", 1)


def _rows(state: dict[str, Any]) -> list[dict[str, Any]]:
    return list(state["nodes"][:8])


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _f(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
