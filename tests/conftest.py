"""What all tests share: real servers that end with the test, bounded waits, nothing left behind.

Everything is patched for gevent before anything else is imported, because that is how the product
always runs (Locust patches on import), and because patching late, whenever some test module first
imports Locust, would make the outcome depend on the order of collection. A missing server is a
failure with the way out, never a skip.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402  (patched first, see above)
import shutil  # noqa: E402
import socket  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import uuid  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from typing import TypeVar  # noqa: E402

import pytest  # noqa: E402

from memquake.paths import PROGRAMS  # noqa: E402
from tests import processes  # noqa: E402

READY_WITHIN_S = 10.0  # a server start takes about 0.05 s; the rest is a busy machine
STOP_WITHIN_S = 5.0
START_ATTEMPTS = 3  # another process may take the free port between its choice and its use
SESSION_MARK = "MEMQUAKE_TEST_SESSION"

# Inherited by every process that a test starts, however far it detaches itself.
os.environ[SESSION_MARK] = uuid.uuid4().hex
os.environ["PATH"] = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"

T = TypeVar("T")


def wait_until(
    check: Callable[[], T], *, within_s: float = 5.0, every_s: float = 0.02, what: str = ""
) -> T:
    """Call `check` until it gives something true and return that. Raises AssertionError."""
    deadline = time.monotonic() + within_s
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            subject = what or getattr(check, "__name__", "the condition")
            raise AssertionError(f"{subject} did not come true within {within_s} s: {result!r}")
        time.sleep(every_s)


def choose_free_port() -> int:
    """Give a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, request: bytes, until: bytes) -> bytes:
    """Send a request to a loopback port and read until the answer contains `until`."""
    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
        connection.sendall(request)
        answer = b""
        while until not in answer:
            chunk = connection.recv(4096)
            if not chunk:
                break
            answer += chunk
        return answer


@dataclass(frozen=True, kw_only=True)
class Server:
    """A real server on a loopback port."""

    port: int
    process: subprocess.Popen[bytes]
    host: str = "127.0.0.1"

    @property
    def address(self) -> tuple[str, int]:
        """The address as clients take it."""
        return (self.host, self.port)

    @property
    def label(self) -> str:
        """The address as `host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, for a server that speaks HTTP."""
        return f"http://{self.label}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def stop(self) -> None:
        """End the process, also one that is stopped or already gone.

        By SIGKILL: memcached takes a second to obey SIGTERM, and neither has anything to save.
        """
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_WITHIN_S)


def start_server(
    command: Callable[[int], list[str]], is_ready: Callable[[int], bool], port: int | None
) -> Server:
    """Start a server on a free port (or a given one) and return when it answers."""
    attempts = START_ATTEMPTS if port is None else 1
    for _ in range(attempts):
        chosen = port or choose_free_port()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command(chosen), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            server = Server(port=chosen, process=process)
            if is_up(server, is_ready):
                return server
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
    raise AssertionError(f"{command(0)[0]} ended at once with {process.returncode}: {said}")


def is_up(server: Server, is_ready: Callable[[int], bool]) -> bool:
    """Wait until a server answers; False when it ended instead."""
    try:
        wait_until(
            lambda: server.process.poll() is not None or is_ready(server.port),
            within_s=READY_WITHIN_S,
            what=f"{server.process.args} answering",
        )
    except BaseException:
        server.stop()
        raise
    return server.process.poll() is None


def answers_version(port: int) -> bool:
    """Whether a memcached answers, not merely listens."""
    try:
        return ask(port, b"version\r\n", b"\r\n").startswith(b"VERSION ")
    except OSError:
        return False


def answers_http(port: int) -> bool:
    """Whether a Toxiproxy answers on its control port."""
    try:
        request = b"GET /version HTTP/1.0\r\nHost: localhost\r\n\r\n"
        return b" 200 " in ask(port, request, b"\r\n")
    except OSError:
        return False


@pytest.fixture(scope="session")
def binary() -> Callable[[str], str]:
    """Find a program on PATH or in .tools/bin; fail with the way out when it is missing."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if not found:
            pytest.fail(f"{name} is neither on PATH nor in .tools/bin: run `make setup`")
        return found

    return find


@pytest.fixture
def bounded() -> Callable[..., object]:
    """Give the bounded wait: `bounded(check, within_s=5.0, every_s=0.02, what="")`."""
    return wait_until


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Give a function that chooses free loopback ports."""
    return choose_free_port


@pytest.fixture
def memcached(binary: Callable[[str], str]) -> Iterator[Callable[..., Server]]:
    """Give a function that starts a real memcached: `memcached(*options, port=None)`."""
    path = binary("memcached")
    user = ["-u", "root"] if os.geteuid() == 0 else []  # memcached refuses root unless told
    started: list[Server] = []

    def start(*options: str, port: int | None = None) -> Server:
        def command(chosen: int) -> list[str]:
            listen = ["-l", "127.0.0.1", "-p", str(chosen), "-U", "0"]
            return [path, *listen, "-t", "1", "-m", "64", *user, *options]

        started.append(start_server(command, answers_version, port))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def toxiproxy(binary: Callable[[str], str]) -> Iterator[Server]:
    """Give a running toxiproxy-server; its control API is at `.url`."""
    path = binary("toxiproxy-server")
    server = start_server(
        lambda port: [path, "-host", "127.0.0.1", "-port", str(port)], answers_http, None
    )
    yield server
    server.stop()


@pytest.fixture
def memcached_with(
    binary: Callable[[str], str], bounded: Callable[..., object]
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts a memcached that listens elsewhere: `(is_ready, *options)`."""
    path = binary("memcached")
    user = ["-u", "root"] if os.geteuid() == 0 else []  # memcached refuses root unless told
    started: list[subprocess.Popen[bytes]] = []

    def start(is_ready: Callable[[], bool], *options: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([path, "-t", "1", "-m", "64", *user, *options]))
        bounded(
            lambda: started[-1].poll() is not None or is_ready(),
            within_s=10.0,
            what=f"memcached {options}",
        )
        assert started[-1].poll() is None, f"memcached {options} ended at once"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(5.0)


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail the session when a process that a test started outlives all tests."""
    yield
    mark = os.environ[SESSION_MARK]
    deadline = time.monotonic() + STOP_WITHIN_S
    while (left := processes.marked(SESSION_MARK, mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        names = processes.describe(left)
        for process in left:
            process.kill()
        pytest.fail(f"processes of this test session were left behind (killed now):\n{names}")
