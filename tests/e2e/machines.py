"""Machines of the test's own: network namespaces on a bridge that lies in one more of them.

The host's network is not touched: no address, no route, no interface of it takes part, so the
same addresses serve every test. What runs on a machine is started through `Machine.command`, and
`Machines.remove` takes whatever is still there away. Only root may make such machines.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

NEEDED = ("ip", "nft", "nsenter", "unshare")
PROBE = (
    "import socket, sys\n"
    "with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1.0) as sock:\n"
    "    sock.sendall(b'version\\r\\n')\n"
    "    sys.exit(not sock.recv(100).startswith(b'VERSION '))\n"
)
CUT = "machines_cut"  # table of the packet filter in a machine's own namespace


def why_not() -> str:
    """Say in one line why there can be no machines here, "" when there can."""
    if os.geteuid() != 0:
        return "machines of the test's own need network namespaces: run it as root"
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        return f"{', '.join(lacking)} missing: install iproute2, nftables and util-linux"
    return ""


def _run(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine: a network namespace with the address `address` on the common bridge."""

    name: str
    address: str

    def command(self, *more: str) -> list[str]:
        """Give the words that make what follows them run on this machine."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *more]

    def has_memcached(self, port: int, host: str) -> bool:
        """Whether a memcached at `host` answers this machine."""
        probe = self.command(sys.executable, "-I", "-S", "-c", PROBE, host, str(port))
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0

    def configure(self, *words: str) -> None:
        """Run `ip ...` in this machine's network."""
        _run("ip", "-n", self.name, *words)

    def cut_from(self, other: Machine) -> None:
        """Drop every packet from and to another machine, without a word to either."""
        table = (
            f"add table inet {CUT}\n"
            f"add chain inet {CUT} in {{ type filter hook input priority 0; }}\n"
            f"add chain inet {CUT} out {{ type filter hook output priority 0; }}\n"
            f"add rule inet {CUT} in ip saddr {other.address} drop\n"
            f"add rule inet {CUT} out ip daddr {other.address} drop\n"
        )
        _run(*self.command("nft", "-f", "-"), text=table)

    def join(self) -> None:
        """Take every cut back."""
        _run(*self.command("nft", "delete", "table", "inet", CUT))


class Machines:
    """Machines on one bridge, made one by one, removed together."""

    def __init__(self) -> None:
        self._tag = f"mq{uuid.uuid4().hex[:5]}"
        self._names: list[str] = []
        self._switch = self._namespace("switch")
        _run("ip", "-n", self._switch, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", self._switch, "link", "set", "br0", "up")

    def add(self, name: str) -> Machine:
        """Give one more machine; the first has the address 10.77.0.1/24."""
        number = len(self._names)
        namespace = self._namespace(name)
        port = f"port{number}"
        _run(
            *("ip", "-n", self._switch, "link", "add", port, "type", "veth"),
            *("peer", "name", "eth0", "netns", namespace),
        )
        _run("ip", "-n", self._switch, "link", "set", port, "master", "br0", "up")
        machine = Machine(name=namespace, address=f"10.77.0.{number}")
        machine.configure("address", "add", f"{machine.address}/24", "dev", "eth0")
        machine.configure("link", "set", "eth0", "up")
        return machine

    def remove(self) -> None:
        """End what still runs on the machines, by its ids, and remove them all."""
        for name in reversed(self._names):
            listed = subprocess.run(
                ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
            )
            for pid in listed.stdout.split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        self._names.clear()

    def _namespace(self, name: str) -> str:
        full = f"{self._tag}-{name}"
        _run("ip", "netns", "add", full)
        self._names.append(full)
        _run("ip", "-n", full, "link", "set", "lo", "up")
        return full


def with_clock(*, monotonic_s: int, wall_s: int) -> Sequence[str]:
    """Give the words that make what follows them live with clocks that are off, in seconds.

    The monotonic clock by a time namespace of the kernel, the wall clock by libfaketime.
    """
    if shutil.which("faketime") is None:
        raise AssertionError("faketime is missing: install it (apt-get install faketime)")
    return [
        *("unshare", "--time", f"--monotonic={monotonic_s}", f"--boottime={monotonic_s}"),
        *("--fork", "--kill-child", "--"),
        *("env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", f"{wall_s:+d}s"),
    ]
