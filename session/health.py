"""Whether the load process of this container is in order, for a container's health check.

`python -m session.health` ends with 0 or with 1 and one line. It asks for what others need of the
process: a web UI that answers, a headless master that takes workers, a worker that is connected to
its master. It looks from outside, at sockets and command lines, because importing Locust would
cost a second of processor at every look. Standard library only, and nothing of ours.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WEB_PORT = 8089  # Locust's own defaults
MASTER_PORT = 5557
ANSWER_WITHIN_S = 3.0
ESTABLISHED, LISTENING = "01", "0A"  # as /proc/net/tcp spells states
TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True, kw_only=True)
class Role:
    """What a load process was told to be."""

    worker: bool
    takes_workers: bool
    web: bool
    web_port: int
    web_base: str
    tls: bool
    master_port: int


def read_role(words: Sequence[str], environ: Mapping[str, str]) -> Role:
    """Read a role from a command line and the environment, as Locust would."""

    def flag(name: str, variable: str) -> bool:
        return name in words or environ.get(variable, "").lower() in TRUE

    def value(name: str, variable: str, default: str) -> str:
        for index, word in enumerate(words):
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
            if word == name and index + 1 < len(words):
                return words[index + 1]
        return environ.get(variable) or default

    def port(name: str, variable: str, default: int) -> int:
        text = value(name, variable, str(default))
        return int(text) if text.isdigit() else default

    worker = flag("--worker", "LOCUST_MODE_WORKER")
    ports = ("--master-port", "LOCUST_MASTER_NODE_PORT")
    if not worker:
        ports = ("--master-bind-port", "LOCUST_MASTER_BIND_PORT")
    short = "-P" if "-P" in words else "--web-port"
    return Role(
        worker=worker,
        takes_workers=flag("--master", "LOCUST_MODE_MASTER"),
        web=not worker and not flag("--headless", "LOCUST_HEADLESS"),
        web_port=port(short, "LOCUST_WEB_PORT", WEB_PORT),
        web_base=value("--web-base-path", "LOCUST_WEB_BASE_PATH", "").rstrip("/"),
        tls=bool(value("--tls-cert", "LOCUST_TLS_CERT", "")),
        master_port=port(*ports, MASTER_PORT),
    )


def connections(table: str) -> Iterator[tuple[str, int, int]]:
    """Read (state, local port, remote port) from the text of /proc/net/tcp or tcp6."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 3:
            yield words[3], _port(words[1]), _port(words[2])


def complaint(role: Role, tables: Sequence[str]) -> str:
    """Say what is wrong as far as sockets show it, "" when nothing is."""
    found = [connection for table in tables for connection in connections(table)]
    if role.worker:
        connected = any(s == ESTABLISHED and far == role.master_port for s, _, far in found)
        return "" if connected else f"not connected to a master on port {role.master_port}"
    listening = {near for state, near, _ in found if state == LISTENING}
    if role.takes_workers and role.master_port not in listening:
        return f"takes no workers on port {role.master_port}"
    if role.web and role.web_port not in listening:
        return f"no web UI on port {role.web_port}"
    return ""


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _tables() -> list[str]:
    paths = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    return [path.read_text() for path in paths if path.exists()]


def _command_line() -> list[str]:
    """Give the words of the container's own process: they are what it was started with."""
    return Path("/proc/1/cmdline").read_bytes().decode(errors="replace").split("\0")


def _ask(role: Role) -> str:
    """Fetch the metrics, the page that needs no log-in; "" when they come."""
    if role.tls:
        return ""  # it listens; its certificate is for another name than this one
    connection = http.client.HTTPConnection("127.0.0.1", role.web_port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", f"{role.web_base}/metrics")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as why:
        return f"the web UI does not answer: {why}"
    finally:
        connection.close()
    return "" if status == http.client.OK else f"the web UI answers with {status}"


def main() -> int:
    """Look once; print what is wrong."""
    role = read_role(_command_line(), os.environ)
    why = complaint(role, _tables()) or (_ask(role) if role.web else "")
    if why:
        sys.stderr.write(f"memquake: {why}\n")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
