"""memquake's options as a table: for the terminal, and as docs/options.md.

Both are made from the parser that reads the command line, so neither can name what is not there.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AREA = "memquake: "  # the titles of memquake's groups in Locust's parser begin so
INDENT = 26

TOP = """# Options

memquake is run by Locust, so its options stand beside Locust's own: on the command line, in the
environment, in a config file (`locust.conf`, `~/.locust.conf`, `[tool.locust]` of `pyproject.toml`,
or `--config FILE`) and, where the last column says so, in the web form. The command line wins over
the environment, that over config files, those over defaults.

Quantities are written the same everywhere, in scenario, suite and plan files as well: a duration
as `30s`, `500ms`, `1m`, `1h30m` or plain seconds (us, ms, s, m or min, h); a size as `64KB`, `16MB`
or plain bytes; a share as `5%` or `0.05`; a ratio as `1.5x` or `1.5`; a rate as `800` or `800/s`.

`python -m memquake options` prints this list; `locust --help` prints Locust's own options only,
because it answers before it loads a locustfile. This page is written by `make docs` from the
options themselves; `make check` says when it is out of date.
"""

LOCUST_TOP = """
## Locust's own

Each works, or ends in one line with exit code 2 before anything is started; none is taken and then
without effect (Locust {version}).

| option | here |
|---|---|
"""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option as it is shown. `default` and `environment` are "" where there is none."""

    flags: str
    default: str
    environment: str
    config: str
    text: str
    in_form: bool


def areas_of(parser: Any) -> Mapping[str, Sequence[Option]]:
    """Return memquake's options of a parser by area, in the order in which they were added."""
    return {
        group.title.removeprefix(AREA): [_option(action) for action in group._group_actions]
        for group in parser._action_groups
        if (group.title or "").startswith(AREA)
    }


def _option(action: argparse.Action) -> Option:
    default = "" if action.default in (None, "", False) else str(action.default)
    flag = action.option_strings[-1]
    return Option(
        flags=f"{flag} {action.metavar or 'VALUE'}" if action.nargs is None else flag,
        default=default,
        environment=getattr(action, "env_var", None) or "",
        config=flag.lstrip("-"),
        text=(action.help or "").removesuffix(f" Defaults to {default}."),
        in_form=bool(getattr(action, "include_in_web_ui", False)),
    )


def as_text(areas: Mapping[str, Sequence[Option]], width: int) -> str:
    """Return the list for a terminal of `width` columns."""
    lines = []
    for area, options in areas.items():
        lines += ["", area.capitalize()]
        for option in options:
            head = f"  {option.flags}"
            lines += [head] if len(head) >= INDENT else []
            names = f"{option.environment}, {option.config} in a config file"
            default = f"default {option.default}; " if option.default else ""
            room = max(20, width - INDENT)
            text = f"{option.text} [{default}{names}]"
            told = textwrap.wrap(text, room, break_on_hyphens=False)
            first = "" if len(head) >= INDENT else head
            lines += [f"{first:<{INDENT}}{told[0]}", *(" " * INDENT + line for line in told[1:])]
    return "\n".join(lines[1:]) + "\n"


def as_page(
    areas: Mapping[str, Sequence[Option]], locust: Mapping[str, str], locust_version: str
) -> str:
    """Return docs/options.md. `locust` is what each option of Locust does, by its spelling."""
    parts = [TOP]
    for area, options in areas.items():
        parts.append(f"\n## {area.capitalize()}\n\n")
        parts.append("| option | meaning | default | environment | config file | web form |\n")
        parts.append("|---|---|---|---|---|---|\n")
        for option in options:
            cells = (
                _code(option.flags),
                _cell(option.text),
                _code(option.default),
                _code(option.environment),
                _code(option.config),
                "yes" if option.in_form else "",
            )
            parts.append(f"| {' | '.join(cells)} |\n")
    parts.append(LOCUST_TOP.format(version=locust_version))
    parts += [f"| {_code(spelling)} | {_cell(text)} |\n" for spelling, text in locust.items()]
    return "".join(parts)


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
