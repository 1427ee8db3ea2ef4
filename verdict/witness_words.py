"""The client's own words as a witness: `snapshot()` held against what was seen.

Words are samples, a second apart, taken at any moment of their second. So a state is only judged
over several whole windows in a row that all say the same, and only where calls and servers leave no
other reading. What cannot be true at any moment (a negative count, more in use than a pool holds,
a node that does not exist) the load process has already found. A client that tells nothing, or
words that mean nothing, contradict nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from verdict.answers import held, not_applicable
from verdict.correctness import SNAPSHOT_FINDINGS, evidence_line
from verdict.evidence import kept_findings
from verdict.model import CheckResult, Contributor
from verdict.refusals import named_refusals, refusals
from verdict.view import View

ROW = 3
"""Windows in a row: one sample may lie at either end of its second."""

CALLS_A_WINDOW = 20
REFUSED = 0.97
"""Of the calls in a window; the rest may be probes. A breaker that closes now and then shows more
waiting calls than this leaves."""

COMPLETED = 0.9
ASKED = 0.5
"""Of the completed calls, as the server counts them: a call may have been answered elsewhere."""

SHOWN = ("said", "error")  # of a finding

CLAIM_SLACK = 3
"""Connections beyond the server's count: being opened, or just closed by the other side."""


@dataclass(frozen=True)
class _Claim:
    """A statement about a node that a window can bear out or contradict."""

    words: str
    contradicted: Callable[[View, int, str], bool]


def snapshot_true(view: View) -> CheckResult:
    """Say nothing in snapshot() that was not so."""
    name = "snapshot_true"
    limit = view.limit(name)
    found = [
        evidence_line({key: item[key] for key in SHOWN if key in item})
        for item in view.facts.findings
        if item.get("kind") in SNAPSHOT_FINDINGS
    ]
    contradicted = list(
        kept_findings(item for item in view.facts.findings if item.get("kind") in SNAPSHOT_FINDINGS)
    )
    told = any(window.nodes for window in view.facts.windows)
    if not told and not found:
        return not_applicable(name, "the client tells nothing of itself")
    for node in view.facts.nodes:
        for claim in _CLAIMS:
            second = _contradicted(view, node, claim)
            if second is not None:
                found.append(f"{node} at {second} s: {claim.words}")
                contradicted.append(_contributor(view, node, second, claim))
    if len(found) > limit:
        why = "; ".join(found[:3])
        return held(
            name, False, why, observed=len(found), limit=limit, evidence=lambda: contradicted
        )
    why = "nothing it said was contradicted"
    return held(name, True, why, observed=len(found), limit=limit)


def _contributor(view: View, node: str, second: int, claim: _Claim) -> Contributor:
    """Give a claim with what was said in its first window and what the calls and servers show."""
    calls, refused, completed = _outcomes(view, second, node)
    state = view.state(second, node)
    said = {} if state is None else {"breaker": dict(state.breaker), "in_use": state.in_use}
    counted = view.windows[second].server.get(node, {}).get("curr_connections")
    return Contributor(
        outcome=claim.words,
        node=node,
        from_s=second,
        to_s=second + ROW,
        count=calls,
        example={
            "at_s": second,
            "said": said,
            "calls": calls,
            "refused_without_asking": refused,
            "completed": completed,
            "connections_by_server": counted,
        },
    )


def _contradicted(view: View, node: str, claim: _Claim) -> int | None:
    """Give the first of the windows in a row that contradict a claim, None without such a row."""
    row: list[int] = []
    for second in view.phases.full:
        if row and row[-1] != second - 1:
            row = []
        row = [*row, second] if claim.contradicted(view, second, node) else []
        if len(row) == ROW:
            return row[0]
    return None


def _outcomes(view: View, second: int, node: str) -> tuple[int, int, int]:
    """Return (calls, refused by the client itself, completed) of single-key calls to a node."""
    sums = view.sums(second, node)
    return sums.operations, refusals(view, second, node), sums.completed


def _says_closed(view: View, second: int, node: str) -> bool:
    state = view.state(second, node)
    if state is None or set(state.breaker) - {"closed"}:
        return False
    calls, refused, completed = _outcomes(view, second, node)
    if not state.breaker:  # it tells of none: calls that fail at once may be anything
        refused = named_refusals(view, second, node)
    return calls >= CALLS_A_WINDOW and not completed and refused >= REFUSED * calls


def _says_open(view: View, second: int, node: str) -> bool:
    state = view.state(second, node)
    if state is None or set(state.breaker) != {"open"}:
        return False
    calls, _, completed = _outcomes(view, second, node)
    if calls < CALLS_A_WINDOW or completed < COMPLETED * calls:
        return False
    counted = view.server_commands(node, (second, second + 1))
    return counted is not None and counted[0] >= ASKED * completed


def _leaves_out(view: View, second: int, node: str) -> bool:
    window = view.windows[second]
    if not window.nodes or node in window.nodes:
        return False
    counted = view.server_commands(node, (second, second + 1))
    return view.sums(second, node).completed >= CALLS_A_WINDOW and bool(counted and counted[0])


def _claims_connections(view: View, second: int, node: str) -> bool:
    state = view.state(second, node)
    counts = [
        window.server[node]["curr_connections"]
        for moment in (second, second + 1)
        if (window := view.windows.get(moment)) is not None
        and "curr_connections" in window.server.get(node, {})
    ]
    if state is None or len(counts) < 2 or node not in view.unaffected(second):
        return False
    return state.idle + state.in_use > max(counts) + CLAIM_SLACK


_CLAIMS = (
    _Claim("it said that no breaker was open while every call was refused unasked", _says_closed),
    _Claim("it said that the breaker was open while calls went through", _says_open),
    _Claim("it left out a node that it was using", _leaves_out),
    _Claim("it claimed more connections than the server had", _claims_connections),
)
