"""Every option of the installed Locust has its meaning here, and none is taken without effect."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from options.of_locust import MEANINGS, check_locust_options, ends_at_once
from options.words import ConfigError

OURS = ("MixedUser", "HotKeyUser")


class Shop:
    """A user class of the user's own."""


def locust_parser() -> Any:
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    return parser


def parsed(*words: str) -> argparse.Namespace:
    options: argparse.Namespace = locust_parser().parse_args(list(words))
    return options


def test_every_option_of_the_installed_locust_has_its_meaning() -> None:
    """A new Locust with one option more, or one less, is looked at before it is taken."""
    assert {action.dest for action in locust_parser()._actions} == set(MEANINGS)


@pytest.mark.parametrize("name", [n for n, text in MEANINGS.items() if "refused by" in text])
def test_what_locust_refuses_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table says so of four, and Locust's parser does so."""
    action = next(a for a in locust_parser()._actions if a.dest == name)
    with pytest.raises(SystemExit) as ended:
        parsed(action.option_strings[0], *([] if action.nargs == 0 else ["x"]))
    assert ended.value.code == 2
    assert action.option_strings[0] in capsys.readouterr().err


REFUSED = [
    ("host", ["-H", "http://10.0.0.1:9"], "--nodes"),
    ("tags", ["--tags", "fast"], "no tags"),
    ("exclude tags", ["-E", "slow"], "no tags"),
    ("exit code", ["--exit-code-on-error", "0"], "the verdict's"),
    ("autoquit alone", ["--headless", "--autoquit", "3"], "--autostart"),
    ("too few processes", ["--processes", "-2"], "--processes -2"),
    ("master with processes", ["--master", "--processes", "2"], "--processes exclude"),
    ("master and worker", ["--master", "--worker"], "--worker exclude"),
    ("workers twice", ["--processes", "2", "--expect-workers", "3"], "leave --expect-workers out"),
    ("base path", ["--web-base-path", "x"], "slash"),
    ("certificate alone", ["--tls-cert", __file__], "--tls-key"),
    ("key alone", ["--tls-key", __file__], "--tls-cert"),
    ("no such certificate", ["--tls-cert", "./no.pem", "--tls-key", __file__], "no.pem"),
    ("no such page", ["--build-path", "./nowhere"], "nowhere is no folder"),
    ("log is a folder", ["--logfile", "/"], "--logfile"),
    ("csv below a file", ["--csv", f"{__file__}/x"], "--csv"),
    ("html below a file", ["--html", f"{__file__}/x.html"], "--html"),
    ("json below a file", ["--json-file", f"{__file__}/x"], "--json-file"),
    ("config of nobody", ["--config-users", '{"user_class_name": "Mixd"}'], "nearest: MixedUser"),
    (
        "config of no effect",
        ["--config-users", '{"user_class_name": "MixedUser", "host": "http://x"}'],
        "'host' would be without effect",
    ),
    (
        "weight that is none",
        ["--config-users", '[{"user_class_name": "HotKeyUser", "weight": "much"}]'],
        "'much'",
    ),
    (
        "less than no users",
        ["--config-users", '{"user_class_name": "HotKeyUser", "fixed_count": -1}'],
        "fixed_count -1",
    ),
]


@pytest.mark.parametrize(
    ("words", "expected"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_would_be_without_effect_is_refused(words: list[str], expected: str) -> None:
    """One line that names the option and the way out, before anything is started."""
    with pytest.raises(ConfigError) as refused:
        check_locust_options(parsed(*words), OURS, {})
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_host_in_the_environment_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOCUST_HOST for a dead address once gave PASS."""
    monkeypatch.setenv("LOCUST_HOST", "http://10.0.0.1:9")
    with pytest.raises(ConfigError, match="LOCUST_HOST"):
        check_locust_options(parsed(), OURS, {})


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-H", "http://shop"], id="host"),
        pytest.param(["-E", "slow"], id="tags"),
        pytest.param(
            ["--config-users", '{"user_class_name": "Shop", "host": "http://shop", "tasks": []}'],
            id="config",
        ),
    ],
)
def test_users_of_ones_own_have_them(words: list[str]) -> None:
    """What memquake's users have no use for works for the others."""
    check_locust_options(parsed(*words), OURS, {"Shop": Shop})


def test_what_works_is_let_through(tmp_path: Path) -> None:
    """A command line with most of the others says nothing."""
    words = (
        "-u 5 -r 2.5 -t 20s --headless --print-stats --only-summary --reset-stats --skip-log-setup "
        "-L debug --json --equal-weights -s 3 --profile x --enable-rebalancing --expect-workers 2 "
        f"--csv {tmp_path}/new/stats --csv-full-history --html {tmp_path}/{{u}}.html "
        f"--json-file {tmp_path}/j --logfile {tmp_path}/log --web-base-path /x MixedUser"
    )
    check_locust_options(parsed(*words.split()), OURS, {})
    assert not list(tmp_path.iterdir()), "looking writes nothing"


@pytest.mark.parametrize("word", ["--list", "--show-task-ratio", "--show-task-ratio-json"])
def test_what_prints_and_ends_starts_nothing(word: str) -> None:
    """Nothing of a run is looked at for it."""
    assert ends_at_once(parsed(word))
    assert not ends_at_once(parsed("--headless"))
