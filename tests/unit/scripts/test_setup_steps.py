"""A set-up step is silent when done, and a half-finished one never looks finished."""

import os
import shutil
import sys

import pytest

from scripts import tools
from scripts.progress import CommandError, Log, SetupError
from scripts.python_env import PythonEnv
from scripts.tools import COMPOSE_GO, KUSTOMIZE, TOXIPROXY


class FakeLog(Log):
    """Notes commands instead of running them; makes what they would make."""

    def __init__(self, path, fail_on=None):
        super().__init__(path)
        self.commands = []
        self.fail_on = fail_on

    def run(self, command, **_):
        words = [str(word) for word in command]
        self.commands.append(words)
        if self.fail_on and self.fail_on in words:
            raise CommandError("no network")
        if "venv" in words and "--clear" in words:
            python = type(self.path)(words[-1]) / "bin" / "python"
            shutil.rmtree(python.parent.parent / "lib", ignore_errors=True)
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
            version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
            (python.parent.parent / "lib" / version / "site-packages").mkdir(parents=True)
            for stale in python.parent.parent.glob(".*"):
                stale.unlink()

    def say(self, text):
        self.note(text)


@pytest.fixture
def checkout(tmp_path):
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        (tmp_path / name).write_text(f"{name}\n")
    return tmp_path


def ensure(checkout, level="runtime", fail_on=None):
    log = FakeLog(checkout / ".tools" / "setup.log", fail_on)
    PythonEnv(checkout, log).ensure(level)
    return [("venv" if "--clear" in words else words[-1].rsplit("/")[-1]) for words in log.commands]


def test_a_complete_environment_is_left_alone(checkout):
    """The second time nothing runs."""
    assert ensure(checkout) == ["venv", "requirements.txt"]
    assert ensure(checkout) == []


def test_the_environment_of_another_checkout_is_not_emptied(checkout, tmp_path_factory):
    """A `.venv` that is a link was followed by `venv --clear`, and what it led to was gone."""
    other = tmp_path_factory.mktemp("other")
    (other / "kept").touch()
    (checkout / ".venv").symlink_to(other)
    with pytest.raises(SetupError, match=r"is a link to .*: delete the link"):
        ensure(checkout)
    assert (other / "kept").exists()
    assert not (other / "bin").exists()


def test_memquake_is_found_from_any_folder(checkout):
    """The environment's Python has the checkout on its path, also one set up before it had."""
    ensure(checkout)
    (path_file,) = checkout.glob(".venv/lib/*/site-packages/memquake.pth")
    assert path_file.read_text() == f"{checkout}\n"
    path_file.unlink()
    assert ensure(checkout) == ["requirements.txt"]
    assert path_file.exists()


def test_development_packages_are_added_and_stand_for_the_runtime_ones(checkout):
    """`make test` adds to the environment of `make run`, which then has nothing to do."""
    ensure(checkout)
    assert ensure(checkout, "dev") == ["requirements-dev.txt"]
    assert ensure(checkout) == []
    assert ensure(checkout, "dev") == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("requirements.txt", ["requirements.txt"]),
        ("constraints.txt", ["requirements.txt"]),
        ("requirements-dev.txt", []),
    ],
    ids=["a requirement", "a constraint", "what only development needs"],
)
def test_a_changed_pin_is_installed(checkout, changed, expected):
    """Only what a level depends on makes it stale."""
    ensure(checkout)
    (checkout / changed).write_text("other\n")
    assert ensure(checkout) == expected


def test_an_install_that_was_cut_off_is_not_built_upon(checkout):
    """Half a package looks whole to pip, so the environment is made anew."""
    with pytest.raises(SetupError, match=r"Python packages could not be installed \(no network\)"):
        ensure(checkout, fail_on="install")
    assert ensure(checkout) == ["venv", "requirements.txt"]


def test_an_environment_that_was_moved_is_made_anew(checkout, tmp_path_factory):
    """Scripts in an environment carry its path."""
    ensure(checkout)
    moved = tmp_path_factory.mktemp("elsewhere") / "checkout"
    checkout.rename(moved)
    assert ensure(moved) == ["venv", "requirements.txt"]


def program(path, text, code=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("said", "code", "fits"),
    [
        ("toxiproxy-server version 2.12.0", 0, True),
        ("toxiproxy-server version v2.5.0", 0, True),
        ("toxiproxy-server version git", 0, True),
        ("toxiproxy-server version 2.4.0", 0, False),
        ("toxiproxy-server version 3.0.0", 0, False),
        ("toxiproxy-server version 2.12.0", 1, False),
        ("something else", 0, False),
    ],
    ids=["pinned", "oldest", "built from source", "too old", "too new", "fails", "another program"],
)
def test_only_a_server_that_runs_and_is_new_enough_fits(tmp_path, said, code, fits):
    """What lies on PATH is asked, not believed."""
    assert TOXIPROXY.is_fitting(program(tmp_path / "toxiproxy-server", said, code)) is fits


def test_a_missing_server_does_not_fit(tmp_path):
    """Neither a path that is not there nor one that cannot be executed."""
    assert not TOXIPROXY.is_fitting(tmp_path / "nothing")
    (tmp_path / "text").write_text("x")
    assert not TOXIPROXY.is_fitting(tmp_path / "text")


SAYS = {
    TOXIPROXY.name: "toxiproxy-server version 2.12.0",
    KUSTOMIZE.name: "v5.8.1",
    COMPOSE_GO.name: "-no-interpolation",
}


def works(tool, scratch, log):
    return program(scratch / "built", SAYS[tool.name])


def fails(tool, scratch, log):
    raise CommandError("no network")


def test_a_tool_is_taken_from_the_first_way_that_works(tmp_path, monkeypatch):
    """A way that fails leaves its reason in the log, and the next one is tried."""
    monkeypatch.setattr(tools, "WAYS", (("by one way", fails), ("by another", works)))
    log, folder = Log(tmp_path / "log"), tmp_path / "tools"
    tools.ensure_tools(folder, log, for_tests=True)
    for name in SAYS:
        assert os.access(folder / "bin" / name, os.X_OK)
    assert [path.name for path in folder.iterdir()] == ["bin"]
    assert "toxiproxy-server not by one way: no network" in log.tail()
    assert tools.missing_tools(folder, for_tests=True) == []


def test_a_run_needs_no_tool_of_the_checks(tmp_path, monkeypatch):
    """`make run` builds toxiproxy-server and nothing besides."""
    monkeypatch.setattr(tools, "WAYS", (("by a way", works),))
    tools.ensure_tools(tmp_path, Log(tmp_path / "log"), for_tests=False)
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["toxiproxy-server"]


def test_a_pin_that_was_changed_is_built_anew(tmp_path):
    """What lies there of another version does not fit."""
    program(tmp_path / "bin" / "kustomize", "v5.8.0")
    assert KUSTOMIZE in tools.missing_tools(tmp_path, for_tests=True)


def test_when_no_way_works_the_error_names_them_all_and_the_way_out(tmp_path, monkeypatch):
    """One line: what was tried, why each failed, what to do."""
    monkeypatch.setattr(tools, "WAYS", (("by one way", fails), ("by another", fails)))
    with pytest.raises(SetupError) as raised:
        tools.ensure_tools(tmp_path, Log(tmp_path / "log"), for_tests=True)
    line = str(raised.value)
    assert line.count("no network") == 2
    assert "on PATH and run make again" in line
    assert "\n" not in line


def test_a_tool_of_the_checks_that_cannot_be_had_is_said_once_a_day(tmp_path, monkeypatch, capsys):
    """The set-up goes on without it, and does not try again at every `make`."""
    program(tmp_path / "bin" / "toxiproxy-server", SAYS[TOXIPROXY.name])
    monkeypatch.setattr(tools, "WAYS", (("by a way", fails),))
    log = Log(tmp_path / "log")
    tools.ensure_tools(tmp_path, log, for_tests=True)
    kustomize, compose = capsys.readouterr().out.splitlines()
    assert kustomize.endswith("(by a way: no network): k8s/ is not checked")
    assert compose.endswith("(by a way: no network): docker-compose.yml is not checked")
    tools.ensure_tools(tmp_path, log, for_tests=True)
    assert capsys.readouterr().out == ""
