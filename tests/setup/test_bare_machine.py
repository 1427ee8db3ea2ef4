"""README's commands from nothing: a bare Debian with Python, git and make, and no more.

`make setup-test` runs them where a Docker engine is. The folder has spaces in its name. A run that
proves nothing on a busy machine is run again, as README says for such machines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.setup.container import FOLDER, USER, Container, Done

pytestmark = pytest.mark.bare

RUN = 'make run RUN_OPTIONS="--scenario {} --time-scale 0.5 --retries 2"'
KERNEL_FAULT = "asymmetric-partition"
SETUP_WITHIN_S = 900.0  # packages, and a Go that builds toxiproxy-server
RUN_WITHIN_S = 600.0
UNIT_WITHIN_S = 600.0
TOXIPROXY = f"{FOLDER}/.tools/bin/toxiproxy-server"


@pytest.fixture(scope="module")
def with_nft() -> Iterator[Container]:
    """Return a machine whose administrator may use the packet filter."""
    container = Container("--cap-add", "NET_ADMIN")
    try:
        container.copy_checkout()
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="module")
def without_nft(with_nft: Container) -> Iterator[Container]:
    """Return a machine that cannot have nft, but has a toxiproxy-server built on the other."""
    container = Container()
    try:
        container.forbid("nftables")
        container.copy_program(with_nft, TOXIPROXY)
        yield container
    finally:
        container.remove()


def passes(done: Done) -> None:
    assert done.code == 0, str(done)
    assert re.search(r"^PASS  ", done.output, re.MULTILINE), str(done)


def means(done: Done) -> str:
    """Return what is really done for the fault of a plan."""
    assert done.code == 0, str(done)
    return next(line for line in done.lines if line.startswith("kernel  "))


def is_green(done: Done) -> None:
    assert done.code == 0, str(done)
    assert re.search(r"\b\d{4} passed in ", done.lines[-1]), str(done)


def test_run_from_nothing_as_root(with_nft: Container) -> None:
    """All is installed, said line by line, and a run ends in PASS."""
    done = with_nft.run(RUN.format("single-node-failure"), limit_s=SETUP_WITHIN_S + RUN_WITHIN_S)
    passes(done)
    said = [line for line in done.lines if line.startswith("setup: ")]
    assert any("memcached, nftables with apt-get" in line for line in said), str(done)
    assert any("building toxiproxy-server" in line for line in said), str(done)
    assert said[-1].startswith("setup: done in "), str(done)
    again = with_nft.run("make setup")
    assert (again.code, again.output) == (0, "")


def test_the_packet_filter_is_used_where_it_may_be(with_nft: Container) -> None:
    """As root with nft, a kernel fault is one of the kernel."""
    plan = with_nft.run(f".venv/bin/python -m faults plan {KERNEL_FAULT}")
    assert "nftables: " in means(plan)


def test_unit_tests_as_root_with_nft(with_nft: Container) -> None:
    """The fast lane is green where all is installed."""
    is_green(with_nft.run("make test-unit", limit_s=UNIT_WITHIN_S))


def test_what_was_removed_is_installed_again(with_nft: Container) -> None:
    """For runs, and for checks and tests what these need besides."""
    removed = with_nft.run("apt-get remove -y nftables memcached")
    assert removed.code == 0, str(removed)
    done = with_nft.run("make setup-dev", limit_s=SETUP_WITHIN_S)
    assert done.code == 0, str(done)
    assert any("installing memcached, nftables" in line for line in done.lines), str(done)
    assert with_nft.run("command -v memcached nft openssl").code == 0
    checked = with_nft.run("CI=true .venv/bin/python -m scripts.policies")
    assert (checked.code, checked.output) == (0, "")


def test_who_is_not_root_is_told_what_is_missing(without_nft: Container) -> None:
    """A line for each thing that only an administrator can install; exit code 2 of make."""
    without_nft.copy_checkout(owner=USER)
    for expected, package in (
        ("has no venv module: install it", "python3-venv"),
        ("setup: memcached is not on PATH and `apt-get install memcached` needs root", "memcached"),
    ):
        done = without_nft.run("make run", user=USER, limit_s=SETUP_WITHIN_S)
        assert done.code == 2, str(done)
        assert expected in done.lines[-2], done  # the last one is make's own
        without_nft.install(package)


def test_run_without_root_and_without_nft(without_nft: Container) -> None:
    """One line says what is done without nft, once; the run of a kernel fault ends in PASS."""
    done = without_nft.run(RUN.format(KERNEL_FAULT), user=USER, limit_s=RUN_WITHIN_S)
    passes(done)
    line = "faults of the packet filter are carried out by stand-ins"
    assert sum(line in said for said in done.lines) == 1, str(done)
    again = without_nft.run("make setup", user=USER)
    assert (again.code, again.output) == (0, "")


def test_unit_tests_without_root_and_without_nft(without_nft: Container) -> None:
    """The fast lane depends on neither."""
    is_green(without_nft.run("make test-unit", user=USER, limit_s=UNIT_WITHIN_S))


def test_run_as_root_where_nft_cannot_be_had(without_nft: Container) -> None:
    """The package manager's own reason is in the line, and the run goes on."""
    without_nft.run(f"rm -rf '{FOLDER}'", folder="/")
    without_nft.copy_checkout()
    done = without_nft.run(RUN.format("single-node-failure"), limit_s=SETUP_WITHIN_S)
    passes(done)
    (line,) = (said for said in done.lines if said.startswith("setup: nft is not installed"))
    assert "nftables" in line
    plan = without_nft.run(f".venv/bin/python -m faults plan {KERNEL_FAULT}")
    assert "(no packet filter: nft is not installed)" in means(plan)


def test_unit_tests_as_root_without_nft(without_nft: Container) -> None:
    """And green from an environment that holds only what a run needs."""
    is_green(without_nft.run("make test-unit", limit_s=UNIT_WITHIN_S))
