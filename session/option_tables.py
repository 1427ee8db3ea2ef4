"""All options as tables, read from the parser that reads the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import locust
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from options.listing import areas_of, as_page, as_text
from options.of_locust import MEANINGS
from session.options import add_options


def _parser() -> Any:
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    return parser


def options_text(width: int) -> str:
    """Return memquake's options by area for a terminal of `width` columns."""
    parser = _parser()
    add_options(parser)
    return as_text(areas_of(parser), width)


def options_page() -> str:
    """Return docs/options.md."""
    parser = _parser()
    locusts: Mapping[str, str] = {
        ", ".join(action.option_strings) or "UserClass ...": MEANINGS[action.dest]
        for action in parser._actions
    }
    add_options(parser)
    return as_page(areas_of(parser), locusts, locust.__version__)
