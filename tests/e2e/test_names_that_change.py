"""A node moves to another address: who asks again finds it, who asked once never does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memquake.paths import CHECKOUT

SCALED = ["--scenario", "dns-change", "--time-scale", "0.3"]
CHANGE = [*SCALED, "-u", "40", "--target-rate", "1000"]
LITTLE = [*SCALED, "-u", "10", "--target-rate", "200"]  # for who fails whatever the load


@pytest.mark.light
@pytest.mark.prove  # tests/integration/cluster/test_names_that_change.py has the same two clients
def test_a_client_that_resolves_once_never_recovers(judge: Callable) -> None:
    """The fault was real, it is over, and the node gets no traffic again."""
    client = ["--client", "tests.e2e.broken_names:resolves_once"]
    result = judge([*LITTLE, *client], timeout_s=120, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert result.check("fault_confirmed")["verdict"] == "PASS", str(result)
    assert result.check("all_faults_healed")["verdict"] == "PASS", str(result)
    assert result.check("recovers_within")["verdict"] == "FAIL", str(result)


@pytest.mark.alone
@pytest.mark.prove
@pytest.mark.parametrize(
    "client", ["memquake", "pymemcache-pooled", "tests.e2e.honest_client:build"]
)
def test_clients_that_ask_again_are_back(judge: Callable, client: str) -> None:
    """Whoever connects anew asks anew: nobody is convicted of not recovering."""
    result = judge([*CHANGE, "--client", client], timeout_s=120, cwd=CHECKOUT)
    assert result.check("recovers_within")["verdict"] == "PASS", str(result)
    if client != "pymemcache-pooled":  # which has no breaker, and waits on every call
        assert result.exit_code == 0, str(result)


@pytest.mark.alone
@pytest.mark.prove
def test_two_load_processes_see_the_record_change_together(judge: Callable) -> None:
    """Each answers for the names itself, and says so before the fault counts as over."""
    result = judge([*CHANGE, "--processes", "2"], timeout_s=120, cwd=CHECKOUT)
    assert result.exit_code == 0, str(result)
    assert "in 2 load processes" in (result.run_dir / "journal.jsonl").read_text(), str(result)
