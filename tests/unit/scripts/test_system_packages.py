"""What the package manager brings: one call, no call when all is there, one line for what is not.

The machine is a set of programs; a package manager adds to it what its packages hold.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from scripts import system_packages
from scripts.progress import CommandError, Log, SetupError
from scripts.system_packages import PROGRAMS, Program, ensure_programs, missing_programs

PROGRAM_OF = {program.apt: program.name for program in PROGRAMS}


class Machine(Log):
    """A machine with some programs, whose package manager has some packages."""

    def __init__(self, folder: Path, programs: Sequence[str], packages: Sequence[str]) -> None:
        super().__init__(folder / ".tools" / "setup.log")
        self.tools = self.path.parent
        self.tools.mkdir(exist_ok=True)
        self.programs = set(programs)
        self.packages = set(packages)
        self.commands: list[str] = []
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def run(self, command: Sequence[str | Path], **_: object) -> None:
        words = [str(word) for word in command]
        self.commands.append(" ".join(words[words.index("apt-get") :]))
        if "update" in words:
            return
        wanted = [word for word in words[words.index("install") + 1 :] if word[0] != "-"]
        if unknown := set(wanted) - self.packages:
            raise CommandError(f"E: Unable to locate package {min(unknown)}")
        self.programs |= {PROGRAM_OF[package] for package in wanted}

    def set_up(self, *, for_tests: bool = False) -> list[str]:
        """Set up; return the lines that were said besides those of what is being installed."""
        self.commands, self.lines = [], []
        ensure_programs(self.tools, self, for_tests=for_tests)
        return [line for line in self.lines if not line.startswith("installing ")]


MakeMachine = Callable[..., Machine]
ALL = [program.apt for program in PROGRAMS]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeMachine:
    """Return a function that makes the machine; as root on Debian unless it is told otherwise."""

    def make(
        *programs: str, packages: Sequence[str] = ALL, root: bool = True, platform: str = "linux"
    ) -> Machine:
        made = Machine(tmp_path, programs, packages)
        monkeypatch.setattr(
            shutil, "which", lambda name, **_: f"/usr/bin/{name}" if name in made.programs else None
        )
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
        monkeypatch.setattr(sys, "platform", platform)
        return made

    return make


def test_a_bare_machine_gets_all_in_one_call(machine: MakeMachine) -> None:
    """A run needs memcached and nft; tests need openssl besides; the second time nothing runs."""
    bare = machine("apt-get")
    assert bare.set_up() == []
    assert bare.commands == ["apt-get install -y --no-install-recommends memcached nftables"]
    assert bare.set_up() == []
    assert bare.commands == []
    assert bare.set_up(for_tests=True) == []
    assert bare.commands == ["apt-get install -y --no-install-recommends openssl"]


def test_package_lists_are_fetched_when_they_are_stale(machine: MakeMachine) -> None:
    """Only when an install has failed: of all, then of each alone."""
    stale = machine("apt-get", packages=[])
    with pytest.raises(SetupError, match="Unable to locate package memcached"):
        stale.set_up()
    assert [line.split()[1] for line in stale.commands] == ["install", "update", "install"] * 3


def test_an_optional_package_that_cannot_be_had_costs_one_line_and_no_other(
    machine: MakeMachine,
) -> None:
    """The others are installed; the line is said once, and nothing is tried again that day."""
    without = machine("apt-get", packages=["memcached", "openssl"])
    (line,) = without.set_up(for_tests=True)
    assert line.startswith("nft is not installed (installing it failed: E: Unable to")
    assert line.endswith("are carried out by stand-ins, in tests as well")
    assert {"memcached", "openssl"} <= without.programs
    assert without.set_up(for_tests=True) == []
    assert without.commands == []
    assert missing_programs(without.tools, for_tests=False) == []


def test_what_was_declined_is_tried_again_the_next_day(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is installed at once where the machine has it by then."""
    without = machine("apt-get", "memcached", packages=[])
    assert len(without.set_up()) == 1
    without.packages = set(ALL)
    declined = without.tools / system_packages.DECLINED
    os.utime(declined, (0, 0))
    assert without.set_up() == []
    assert "nft" in without.programs


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        pytest.param(
            ("apt-get",),
            r"^memcached is not on PATH and `apt-get install memcached` needs root \(no sudo "
            r"here\): install it with your package manager and run make again$",
            id="not root, no sudo",
        ),
        pytest.param((), "there is neither apt-get nor brew", id="no package manager"),
    ],
)
def test_without_memcached_the_set_up_ends_in_one_line(
    machine: MakeMachine, programs: tuple[str, ...], says: str
) -> None:
    """Nothing is run, and the line says what to do."""
    refused = machine(*programs, root=False)
    with pytest.raises(SetupError, match=says):
        refused.set_up()
    assert refused.commands == []


def test_who_is_not_root_runs_without_the_packet_filter(machine: MakeMachine) -> None:
    """With memcached there, one line names the package and what is done without it."""
    (line,) = machine("apt-get", "memcached", root=False).set_up()
    assert line == (
        "nft is not installed (`apt-get install nftables` needs root (no sudo here)): "
        "faults of the packet filter are carried out by stand-ins, in tests as well"
    )


def test_macos_has_no_packet_filter_of_that_name(machine: MakeMachine) -> None:
    """It is not missed there."""
    mac = machine("brew", "memcached", "openssl", platform="darwin")
    assert missing_programs(mac.tools, for_tests=True) == []


def test_a_program_for_the_administrator_counts_as_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """System programs are off the PATH of ordinary users; nft is one."""
    looked: list[str] = []

    def which(name: str, path: str) -> None:
        looked.extend(path.split(os.pathsep))

    monkeypatch.setattr(shutil, "which", which)
    assert not Program(name="nft", apt="nftables", brew=None).is_installed()
    assert "/usr/sbin" in looked


@pytest.mark.parametrize(
    ("root", "has_sudo", "expected"),
    [
        pytest.param(True, False, "env DEBIAN_FRONTEND=noninteractive apt-get update", id="root"),
        pytest.param(False, False, "", id="neither root nor sudo"),
        pytest.param(
            False,
            True,
            "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get update",
            id="sudo does not ask without a terminal",
        ),
    ],
)
def test_apt_runs_as_root_or_not_at_all(
    machine: MakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    root: bool,
    has_sudo: bool,
    expected: str,
) -> None:
    """Only who is not root and has sudo uses it."""
    machine(*(["sudo"] if has_sudo else []), root=root)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert " ".join(system_packages.apt("update")) == expected
