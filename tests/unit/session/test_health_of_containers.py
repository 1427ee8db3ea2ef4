"""A container is in order when its load process gives others what they need of it."""

from __future__ import annotations

import pytest

from session.health import Role, complaint, connections, read_role

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def table(*rows: tuple[str, int, int]) -> str:
    """Write (state, local port, remote port) as /proc/net/tcp does."""
    lines = [
        f"   {i}: 0100007F:{near:04X} 0200007F:{far:04X} {state} 00000000:00000000 00:0 0 0\n"
        for i, (state, near, far) in enumerate(rows)
    ]
    return HEADER + "".join(lines)


WORKER = read_role(["locust", "--worker"], {})
MASTER = read_role(["locust", "--master"], {})
HEADLESS = read_role(["locust"], {"LOCUST_MODE_MASTER": "true", "LOCUST_HEADLESS": "true"})
LOCAL = read_role(["locust", "--headless"], {})


@pytest.mark.parametrize(
    ("role", "rows", "line"),
    [
        pytest.param(WORKER, [("01", 40000, 5557)], "", id="a worker with its master"),
        pytest.param(WORKER, [("02", 40000, 5557)], "not connected", id="a worker that knocks"),
        pytest.param(WORKER, [("0A", 5557, 0)], "not connected", id="a worker beside a master"),
        pytest.param(MASTER, [("0A", 5557, 0), ("0A", 8089, 0)], "", id="a master with its page"),
        pytest.param(MASTER, [("0A", 5557, 0)], "no web UI on port 8089", id="a page missing"),
        pytest.param(MASTER, [("0A", 8089, 0)], "no workers on port 5557", id="a port missing"),
        pytest.param(HEADLESS, [("0A", 5557, 0)], "", id="a headless master"),
        pytest.param(HEADLESS, [("01", 5557, 4000)], "takes no workers", id="a deaf one"),
        pytest.param(LOCAL, [], "", id="a run by itself needs no port"),
    ],
)
def test_health_is_what_others_need(
    role: Role, rows: list[tuple[str, int, int]], line: str
) -> None:
    """A worker needs its master, a master takes workers, a page is served."""
    found = complaint(role, [table(), table(*rows)])
    assert line in found
    assert bool(line) == bool(found)


@pytest.mark.parametrize(
    ("words", "environ", "port"),
    [
        pytest.param(["--worker", "--master-port", "6000"], {}, 6000, id="two words"),
        pytest.param(["--worker", "--master-port=6000"], {}, 6000, id="one word"),
        pytest.param(["--worker"], {"LOCUST_MASTER_NODE_PORT": "6000"}, 6000, id="a variable"),
        pytest.param(["--master"], {"LOCUST_MASTER_BIND_PORT": "6000"}, 6000, id="a master's"),
        pytest.param(["--master"], {"LOCUST_MASTER_NODE_PORT": "6000"}, 5557, id="a worker's"),
        pytest.param(["--worker", "--master-port"], {}, 5557, id="a word short"),
    ],
)
def test_ports_are_read_as_locust_reads_them(
    words: list[str], environ: dict[str, str], port: int
) -> None:
    """From the command line first, then from the environment."""
    assert read_role(["locust", *words], environ).master_port == port


def test_the_page_is_asked_where_it_is() -> None:
    """Its port and its base path may be given, and its short option too."""
    role = read_role(["locust", "-P", "9000", "--web-base-path", "/load/"], {})
    assert (role.web, role.web_port, role.web_base) == (True, 9000, "/load")
    assert read_role(["locust"], {"LOCUST_WEB_PORT": "9001"}).web_port == 9001


def test_states_and_ports_are_read_from_the_kernels_table() -> None:
    """Numbers are hexadecimal there, and lines that are cut off say nothing."""
    text = table(("0A", 5557, 0), ("01", 8089, 51000)) + "   2: 0100"
    assert list(connections(text)) == [("0A", 5557, 0), ("01", 8089, 51000)]
