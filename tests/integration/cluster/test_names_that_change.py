"""A node moves: its old address goes silent for good, and its name leads elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.embedded import EmbeddedCluster
from cluster.probe import ProbeError, version
from faults.backends.ordering import Words
from faults.driver import FaultDriver, build_backends
from faults.journal import Journal
from faults.plan import Plan, make_plan
from faults.scenario import scenario_from_text
from session.clientside import OrderBook
from tests.e2e.broken_names import ResolvesOnce
from tests.links import StandingOrders
from users.clients import ClientOptions, construct, resolve
from users.records import NEW, OLD, Records

SILENCE_S = 0.5
BACK_S = 8.0  # an address is kept for 1 s, a breaker open for 2 s at most
OPTIONS = ClientOptions(pool_size=4, op_timeout=0.3, connect_timeout=0.3)
FOLLOWING = ("memquake", "pymemcache-pooled")


class InThisProcess(StandingOrders):
    """The way to one load process, which is this one."""

    def __init__(self, records: Records) -> None:
        super().__init__()
        load: Any = SimpleNamespace(records=records)
        self.book = OrderBook(load)

    def heard(self, order_id: str) -> Mapping[str, Words | None]:
        orders = [{**order, "left_s": order["for_s"]} for order in self.standing.values()]
        said = self.book.take({"number": 1, "orders": orders})["said"]
        return {"w1": said.get(order_id)}


def plan(old: str) -> Plan:
    text = f"""
name: x
faults:
  - {{id: move, at: 0s, duration: 2s, kind: dns_change, old: {old}, target: {{nodes: [node2]}}}}
"""
    return make_plan(
        scenario_from_text(text),
        seed=1,
        nodes=("node1", "node2"),
        time_scale=1,
        recovers_within_s=10,
    )


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(2) as running:
        running.open_doors(2)
        yield running


@pytest.fixture
def link(cluster: EmbeddedCluster) -> Iterator[InThisProcess]:
    records = Records(cluster.nodes)
    made = InThisProcess(records)
    yield made
    made.book.close()
    records.close()


@pytest.fixture
def clients(cluster: EmbeddedCluster, link: InThisProcess) -> Iterator[dict[str, Any]]:
    """Clients of node2 alone, so that every call is to the node that moves."""
    address = [cluster.nodes[1].client_address]
    factories: dict[str, Callable[..., Any]] = {name: resolve(name) for name in FOLLOWING}
    factories["asks once"] = ResolvesOnce
    made = {name: construct(factory, address, OPTIONS) for name, factory in factories.items()}
    yield made
    for client in made.values():
        client.close()


def works(client: Any) -> bool:
    try:
        return bool(client.get("k") == b"v")
    except Exception:
        return False


def comes_back(client: Any) -> bool:
    deadline = time.monotonic() + BACK_S
    while not works(client):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_up(address: tuple[str, int]) -> bool:
    try:
        version(address, SILENCE_S)
    except ProbeError:
        return False
    return True


@pytest.mark.parametrize("old", ["silent", "refuses"])
def test_who_asks_again_is_back_and_who_asked_once_is_not(
    cluster: EmbeddedCluster, link: InThisProcess, clients: dict[str, Any], old: str
) -> None:
    """Proved, journalled and healed; the old address stays as it was, and is no leftover."""
    node = cluster.nodes[1]
    for client in clients.values():
        client.set("k", b"v")
    assert [works(client) for client in clients.values()] == [True] * 3
    during: dict[str, bool] = {}

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if not during and all(record.confirmed for record in driver.journal.faults):
            during.update((name, works(client)) for name, client in clients.items())
            during["old"] = is_up(node.doors[OLD].address)
            during["new"] = is_up(node.doors[NEW].address)

    driver = FaultDriver(
        plan(old), build_backends(cluster, link), Journal(epoch=time.monotonic()), sleep=sleep
    )
    driver.run_testing(time.monotonic())
    nobody = dict.fromkeys(clients, False)
    assert during == {**nobody, "old": False, "new": True}
    (record,) = driver.journal.faults
    assert record.confirmed, record.why_not
    assert record.healed_at_s is not None, record.why_not
    assert driver.heal_all("before recovery") == []
    assert driver.leftovers() == []
    assert [comes_back(clients[name]) for name in FOLLOWING] == [True] * 2
    assert not works(clients["asks once"])
    assert [is_up(door.address) for door in node.doors] == [True, False]
    later = FaultDriver(plan(old), build_backends(cluster, link))
    assert later.leftovers() != []
    assert later.heal_all("before the start") == []
    assert later.leftovers() == []
    assert [is_up(door.address) for door in node.doors] == [True, True]


def test_a_run_cut_off_in_the_middle_ends_with_the_new_address(
    cluster: EmbeddedCluster, link: InThisProcess
) -> None:
    """Healing is the same whatever calls for it."""
    driver = FaultDriver(
        plan("silent"), build_backends(cluster, link), Journal(epoch=time.monotonic())
    )
    driver.abort()
    driver.run_testing(time.monotonic())
    assert (driver.leftovers(), link.standing) == ([], {})

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if driver.journal.faults[0].injected_at_s is not None:
            driver.abort()

    driver = FaultDriver(
        plan("silent"),
        build_backends(cluster, link),
        Journal(epoch=time.monotonic()),
        sleep=sleep,
    )
    driver.run_testing(time.monotonic())
    assert driver.leftovers() == []
    assert driver.journal.faults[0].healed_at_s is not None, driver.journal.faults[0].why_not
    assert list(link.standing) == ["move:new"]
