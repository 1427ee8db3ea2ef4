"""What the harness asks nodes directly, of nodes that want TLS, a token, or have no port at all."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import pytest

from cluster.direct import PLAIN, NodeAccess, use
from cluster.errors import ClusterError
from cluster.external import ExternalCluster
from cluster.node import Address, Node, spell
from cluster.probe import (
    FullError,
    HungUpError,
    ProbeError,
    SilentError,
    StatsReader,
    UnreachableError,
    stats,
    version,
)
from faults.backends.helper import Helper
from faults.guard_undos import undo_tell
from faults.helpers.link import Link
from tests.papers import NAME, Papers, make_papers
from users.location import DirectNode
from users.spelling import learn_spelling

Start = Callable[..., Any]

PATIENCE_S = 5.0
TOKEN_FILE = "shop:s3cret\n"
ROLES: dict[str, tuple[dict[str, Any], str]] = {  # settings, and what of the report must grow
    "neighbour": ({"rate": 200.0, "size": 50_000, "lasts_s": 5.0}, "answered"),
    "press": ({"lasts_s": 5.0, "mark": "mark"}, "stored"),
    "crowd": ({"free": 60, "most": 100}, "held"),
}


@pytest.fixture(scope="module")
def papers(binary: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Return papers made for this run: no key lies in the repository."""
    return make_papers(binary("openssl"), tmp_path_factory.mktemp("papers"))


@pytest.fixture(autouse=True)
def plain_afterwards() -> Iterator[None]:
    """Leave the process without any access, as it was."""
    yield
    use(PLAIN)


class Nodes:
    """Starts memcached of one kind after the other, and says what it takes to get in."""

    def __init__(
        self, memcached_with: Start, free_port: Callable[[], int], papers: Papers, folder: Path
    ) -> None:
        self._start = memcached_with
        self._free_port = free_port
        self.papers = papers
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN_FILE)
        self._folder = folder
        tls = ["-Z", "-o", f"ssl_chain_cert={papers.chain},ssl_key={papers.key}"]
        token = ["-Y", str(self.token_file)]
        self._options = {
            "plain": [],
            "tls": tls,
            "token": token,
            "tls and token": [*tls, *token],
            "binary": ["-B", "binary"],
        }

    def start(self, kind: str) -> Address:
        if kind == "unix":
            path = str(self._folder / "node.sock")
            self._start(lambda: _takes(socket.AF_UNIX, path), "-s", path, "-c", "100")
            return f"unix:{path}", 0
        port = self._free_port()
        listen = ["-l", "127.0.0.1", "-p", str(port), "-U", "0"]
        listens = ("127.0.0.1", port)
        self._start(
            lambda: _takes(socket.AF_INET, listens), *listen, "-c", "100", *self._options[kind]
        )
        return listens

    def access(self, kind: str) -> NodeAccess:
        return NodeAccess(
            tls_ca=self.papers.authority if "tls" in kind else "",
            tls_server_name=NAME if "tls" in kind else "",
            auth_token_file=str(self.token_file) if "token" in kind else "",
        )


def _takes(family: int, where: Any) -> bool:
    with socket.socket(family) as probe:
        return probe.connect_ex(where) == 0


@pytest.fixture
def nodes(
    memcached_with: Start, free_port: Callable[[], int], papers: Papers, tmp_path: Path
) -> Nodes:
    """Return the means to start nodes of every kind."""
    return Nodes(memcached_with, free_port, papers, tmp_path)


@pytest.mark.parametrize("kind", ["tls", "token", "tls and token", "unix"])
def test_everything_that_asks_a_node_directly_gets_in(nodes: Nodes, kind: str) -> None:
    """Probes, direct reads, the watch for names, the helpers of faults, and the guard."""
    address = nodes.start(kind)
    access = nodes.access(kind)
    use(access)
    node = Node(name="node1", address=address, direct=address)
    with ExternalCluster([address]) as cluster:
        assert cluster.nodes == [node]
    assert version(address, PATIENCE_S).startswith("1.")
    assert stats(address, PATIENCE_S)["curr_connections"] >= 1
    with Link(*address, timeout_s=PATIENCE_S) as link:
        link.ask(b"set k 0 0 1\r\nv\r\n")
        with DirectNode(node) as direct:
            assert direct.fetch(["k", "missing"]) == {"k": b"v"}
        found = learn_spelling(
            [node], "key", lambda: link.ask(b"set shop/key 0 0 1\r\nv\r\n"), PATIENCE_S
        )
        assert found is not None
        assert found.prefix == "shop/"
        undo_tell(address, [("delete k", ["DELETED"])], access)
        assert link.ask(b"get k\r\n") == b"END\r\n"


@pytest.mark.parametrize("kind", ["tls and token", "unix"])
@pytest.mark.parametrize("role", ROLES)
def test_helpers_lean_on_such_a_node(
    nodes: Nodes, bounded: Callable[..., object], kind: str, role: str
) -> None:
    """The access reaches their processes by names of files; no secret is on a command line."""
    settings, grows = ROLES[role]
    host, port = nodes.start(kind)
    use(nodes.access(kind))
    helper = Helper(role, {"host": host, "port": port, **settings}, 10.0)
    try:
        assert b"s3cret" not in Path(f"/proc/{helper.pid}/cmdline").read_bytes()
        helper.begin()
        bounded(lambda: helper.report()[grows] > 10, what=f"{role} at work")
    finally:
        helper.end()


@pytest.mark.parametrize(
    ("kind", "given", "named"),
    [
        ("tls", "plain", "speaks TLS: give --tls-ca"),
        ("token", "plain", "asks for a token: give --auth-token-file"),
        ("tls and token", "tls", "asks for a token: give --auth-token-file"),
        ("plain", "tls", "leave --tls-ca out if the node is not encrypted"),
        ("binary", "plain", "binary protocol alone: start it with -B auto or -B ascii"),
    ],
)
def test_what_a_node_wants_is_said_in_one_line(
    nodes: Nodes, kind: str, given: str, named: str
) -> None:
    """The node by its name, what it is, and the option that is missing or too many."""
    address = nodes.start(kind)
    use(nodes.access(given))
    line = refusal(address)
    assert spell(address) in line
    assert named in line


def test_a_token_that_is_wrong_is_no_foreign_server(nodes: Nodes, tmp_path: Path) -> None:
    """The file is named, and what stands in it is not."""
    address = nodes.start("token")
    wrong = tmp_path / "wrong"
    wrong.write_text("shop:gu3ssed\n")
    use(NodeAccess(auth_token_file=str(wrong)))
    line = refusal(address)
    assert "refuses the token of --auth-token-file" in line
    assert "gu3ssed" not in line


def test_a_certificate_for_another_name_names_the_option(nodes: Nodes) -> None:
    """The nodes' certificate is for their name, and they are reached by an address."""
    address = nodes.start("tls")
    use(NodeAccess(tls_ca=nodes.papers.authority))
    assert "--tls-server-name" in refusal(address)


@pytest.mark.parametrize("options", [[], ["-o", "no_maxconns_fast"]], ids=["refuses", "silent"])
def test_a_node_at_its_limit_tells_its_statistics_all_the_same(
    memcached_with: Start,
    free_port: Callable[[], int],
    bounded: Callable[..., object],
    options: list[str],
) -> None:
    """Over the connection that was there before; once there is a place, over new ones again."""
    address = ("127.0.0.1", free_port())
    listen = ["-l", address[0], "-p", str(address[1]), "-U", "0", "-c", "40"]
    memcached_with(lambda: _takes(socket.AF_INET, address), *listen, *options)
    reader = StatsReader()
    crowd: list[socket.socket] = []
    try:
        assert not reader.stats(address, PATIENCE_S).get("rejected_connections")
        for _ in range(30):  # a few more than there are places
            crowd.append(socket.socket())
            crowd[-1].setblocking(False)
            crowd[-1].connect_ex(address)
        full = ("rejected_connections", "listen_disabled_num")
        bounded(
            lambda: any(reader.stats(address, 0.5).get(name) for name in full), what="the limit"
        )
        with pytest.raises((FullError, SilentError, UnreachableError)):
            stats(address, 0.5)
        for sock in crowd:
            sock.close()
        bounded(lambda: _is_told(address), what="a place")
        assert reader.stats(address, PATIENCE_S)["accepting_conns"] == 1
    finally:
        reader.close()
        for sock in crowd:
            sock.close()


def _is_told(address: Address) -> bool:
    with suppress(ProbeError):
        return bool(stats(address, 0.5))
    return False


def test_a_certificate_is_checked_for_its_name_behind_a_proxy(nodes: Nodes) -> None:
    """The clients' way through a Toxiproxy of our own is gone before the run."""
    address = nodes.start("tls and token")
    use(nodes.access("tls and token"))
    with ExternalCluster([address], with_proxies=True) as cluster:
        (node,) = cluster.nodes
        assert node.address != address
        assert version(node.address, PATIENCE_S).startswith("1.")


def test_what_is_silent_during_tls_has_taken_the_connection(nodes: Nodes) -> None:
    """Proofs of faults keep silence, an end and a refusal apart, encrypted or not."""
    use(nodes.access("tls"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(SilentError):
            version(silent.getsockname(), 0.2)
        first, _ = silent.accept()
        first.close()
        silent.close()
    ending = socket.create_server(("127.0.0.1", 0))
    with ending:
        job = gevent.spawn(_end_one, ending)
        with pytest.raises(HungUpError):
            version(ending.getsockname(), PATIENCE_S)
        job.join(PATIENCE_S)


def _end_one(server: socket.socket) -> None:
    server.accept()[0].close()


def refusal(address: Address) -> str:
    """Return the one line for which a cluster of this node does not start."""
    with pytest.raises(ClusterError) as caught:
        ExternalCluster([address]).start()
    line = str(caught.value)
    assert "\n" not in line
    return line
