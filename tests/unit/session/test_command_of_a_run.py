"""plan.yaml holds what a run was made with, and nothing of the machine it was made on."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser

from session.command import GIVEN_NODES, NOT_REPLAYED, REPLAYED, RESOLVED, run_options
from session.options import add_options
from settings import ConfigError, resolve_settings


def parsed(runs_dir: Path, **given: Any) -> Namespace:
    parser = get_empty_argument_parser()
    add_options(parser)
    options = Namespace(**{action.dest: action.default for action in parser._actions})
    more = {"num_users": None, "headless": True, "user_classes": [], "run_time": None}
    for name, value in {**more, "runs_dir": str(runs_dir), **given}.items():
        setattr(options, name, value)
    return options


def test_every_option_is_replayed_or_said_not_to_be() -> None:
    """A new option cannot be forgotten: it is in one list, with its reason where it is left out."""
    parser = get_empty_argument_parser()
    locusts = {action.dest for action in parser._actions}
    add_options(parser)
    ours = {action.dest for action in parser._actions} - locusts
    listed = [*REPLAYED, *RESOLVED, *NOT_REPLAYED]
    assert sorted(ours - set(listed)) == []
    assert len(listed) == len(set(listed))


def test_what_a_scenario_and_the_defaults_decide_is_written_out(tmp_path: Path) -> None:
    """A replay does not depend on defaults, which may change."""
    options = parsed(tmp_path, scenario="latency-200ms", budget=["error_budget=5%"])
    found = run_options(options, resolve_settings(options), workers=2)
    wanted = {"users": 200, "target-rate": 400.0, "op-timeout": 0.5, "client": "memquake"}
    assert wanted.items() <= found.items()
    assert found["budget"] == ["error_budget=5%"]
    assert found["processes"] == 2


@pytest.mark.parametrize("name", sorted(NOT_REPLAYED))
def test_nothing_of_the_machine_is_written(tmp_path: Path, name: str) -> None:
    """No ports, no paths: one run gives one text on every machine."""
    options = parsed(tmp_path, scenario="node-blackhole", nodes="127.0.0.1:1,127.0.0.1:2")
    found = run_options(options, resolve_settings(options), workers=0)
    assert name.replace("_", "-") not in found
    assert found["nodes"] == GIVEN_NODES
    assert "127.0.0.1" not in str(found)


def test_a_run_that_lasts_as_long_as_it_is_told_says_so(tmp_path: Path) -> None:
    """Without phases the length is an option like others."""
    options = parsed(tmp_path, run_time=7)
    assert run_options(options, resolve_settings(options), workers=0)["run-time"] == "7s"


def test_the_embedded_cluster_is_advertised_to_nobody(tmp_path: Path) -> None:
    """It serves this machine alone; one line names both ways out."""
    with pytest.raises(ConfigError, match=r"--proxy-advertise without --nodes: .* --nodes"):
        resolve_settings(parsed(tmp_path, proxy_advertise="10.0.0.9"))
    given = parsed(tmp_path, proxy_advertise="10.0.0.9", nodes="127.0.0.1:1")
    assert resolve_settings(given).proxy_advertise == "10.0.0.9"
