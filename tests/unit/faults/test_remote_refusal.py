"""Only loopback is broken unless somebody says otherwise."""

from __future__ import annotations

import pytest

from cluster.node import Node
from faults.errors import ScenarioError
from faults.plan import make_plan
from faults.remote import is_loopback, refuse_foreign_processes, refuse_remote
from faults.scenario import load_scenario


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        pytest.param("127.0.0.1", True, id="IPv4 loopback"),
        pytest.param("127.9.9.9", True, id="another IPv4 loopback"),
        pytest.param("::1", True, id="IPv6 loopback"),
        pytest.param("::ffff:127.0.0.1", True, id="IPv4 loopback inside IPv6"),
        pytest.param("10.0.0.1", False, id="a private address"),
        pytest.param("0.0.0.0", False, id="every address"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    """By address, mapped ones included."""
    assert is_loopback(host) is loopback


def test_a_node_counts_by_where_it_really_is() -> None:
    """A proxy on loopback does not make a distant node near."""
    node = Node(name="node1", address=("127.0.0.1", 1), direct=("10.0.0.1", 11211), proxy="p")
    with pytest.raises(ScenarioError, match=r"10\.0\.0\.1:11211 .* --allow-remote-faults"):
        refuse_remote([node], None)
    refuse_remote([node], None, allow=True)


def test_a_distant_toxiproxy_counts_too() -> None:
    """Its proxies are somebody else's."""
    with pytest.raises(ScenarioError, match=r"http://10\.0\.0\.1:8474"):
        refuse_remote([("127.0.0.1", 1)], "http://10.0.0.1:8474")
    refuse_remote([("127.0.0.1", 1)], "http://127.0.0.1:8474")


def test_foreign_processes_are_not_killed() -> None:
    """A crash needs nodes that were started here."""
    plan = make_plan(
        load_scenario("node-crash"), seed=1, nodes=["n"], time_scale=1, recovers_within_s=10
    )
    with pytest.raises(ScenarioError, match="leave --nodes out"):
        refuse_foreign_processes(plan)
