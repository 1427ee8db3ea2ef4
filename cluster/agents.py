"""Nodes of somebody else whose processes an agent of ours may kill, halt and bring back.

Where nodes run in containers of their own, `agent.sh` starts memcached there and listens to a pipe
in a folder that both sides share (`--node-control`). This is the other end. A node is known there
by the host of its address. Nothing is signalled from here, and no pid means anything here.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError
from cluster.external import ExternalCluster
from cluster.node import Address, Node
from cluster.probe import ProbeError, version

BACK_WITHIN_S = 5.0  # an agent acts within milliseconds, memcached starts within 50
POLL_S = 0.01
_numbers = itertools.count(time.time_ns())  # those of another process are others
STATES = ("running", "dying", "halted", "dead")
HEARD_WITHIN_S = 2.0  # a wish is heard within milliseconds, on a machine under load within 100


class AgentCluster(ExternalCluster):
    """Given nodes with an agent each. As ExternalCluster, and a control of their processes."""

    def __init__(self, addresses: Sequence[Address], folder: Path, **more: Any) -> None:
        super().__init__(addresses, **more)
        self._folder = folder
        self._hosts = [host for host, _ in addresses]

    def start(self) -> None:
        """Mend what a killed run left halted or dead, then look at every node."""
        doubles = {host for host in self._hosts if self._hosts.count(host) > 1}
        if doubles:
            raise ClusterError(
                f"--node-control knows nodes by their hosts, and {min(doubles)} has several: "
                "give each node a host of its own, or leave --node-control out"
            )
        states = {host: self._read(host) for host in self._hosts}
        for host in self._hosts:
            self._tell(host, "mend")
        for address in self._addresses:
            self._await_running(address[0])
            if states[address[0]] != "running":
                with contextlib.suppress(ProbeError):  # what is wrong is said in a moment
                    self._await_answer(address)
        super().start()

    def stop(self) -> None:
        """Mend every node, then as for any given ones."""
        for host in self._hosts:
            with contextlib.suppress(ClusterError):
                if self._read(host) != "running":
                    self._tell(host, "mend")
        super().stop()

    def undo(self, name: str) -> Mapping[str, Any]:
        """Give the undo of whatever is done to a node, for the guard."""
        return {"kind": "wish", "path": str(self._pipe(self._host(name))), "word": "mend"}

    def kill_node(self, name: str) -> None:
        """End a node at once, as a crash would."""
        self._tell(self._host(name), "kill")

    def restart_node(self, name: str) -> None:
        """Start a dead node again, empty, and wait until it answers."""
        host = self._host(name)
        self._tell(host, "mend")
        self._await_running(host)
        try:
            self._await_answer(self._named(name).direct)
        except ProbeError as why:
            raise ClusterError(f"{name} does not come back: {why}") from None

    def pause_node(self, name: str) -> None:
        """Halt a node: it still takes connections and answers nothing."""
        self._tell(self._host(name), "halt")

    def resume_node(self, name: str) -> None:
        """Let a halted node go on; one that runs is left alone."""
        host = self._host(name)
        if self._read(host) == "halted":
            self._tell(host, "mend")

    def is_alive(self, name: str) -> bool:
        """Tell whether the node's process lives, halted or not."""
        return self._read(self._host(name)) != "dead"

    def is_paused(self, name: str) -> bool:
        """Tell whether the node's process lives and is halted."""
        return self._read(self._host(name)) == "halted"

    # -- the folder -------------------------------------------------------------------------

    def _pipe(self, host: str) -> Path:
        return self._folder / f"{host}.wishes"

    def _tell(self, host: str, word: str) -> None:
        """Say a wish and wait until it was heard: what is read from then on came after it."""
        number = str(next(_numbers))
        try:
            # Never waited for: without a reader it is an error at once.
            pipe = os.open(self._pipe(host), os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(pipe, f"{word} {number}\n".encode())
            finally:
                os.close(pipe)
        except OSError as error:
            why = "nobody reads its pipe" if error.errno == errno.ENXIO else error.strerror
            raise ClusterError(
                f"--node-control {self._folder}: no agent of {host} ({why}): "
                "start the node with cluster/agent.sh, or leave --node-control out"
            ) from None

        deadline = time.monotonic() + HEARD_WITHIN_S
        while self._words(host)[1] != number:
            if time.monotonic() > deadline:
                raise ClusterError(f"--node-control: the agent of {host} did not hear {word!r}")
            time.sleep(POLL_S)

    def _read(self, host: str) -> str:
        return self._words(host)[0]

    def _words(self, host: str) -> tuple[str, str]:
        path = self._folder / f"{host}.state"
        try:
            word, _, number = path.read_text().strip().partition(" ")
        except OSError as error:
            raise ClusterError(
                f"--node-control {self._folder}: no agent of {host} ({error.strerror}): "
                "start the node with cluster/agent.sh, or leave --node-control out"
            ) from None
        if word not in STATES:
            raise ClusterError(f"--node-control: {path} says {word!r}: give the agent's folder")
        return word, number

    def _await_running(self, host: str) -> None:
        deadline = time.monotonic() + BACK_WITHIN_S
        while (state := self._read(host)) != "running":
            if time.monotonic() > deadline:
                raise ClusterError(f"--node-control: memcached of {host} is {state} and stays so")
            time.sleep(POLL_S)

    def _await_answer(self, address: Address) -> None:
        deadline = time.monotonic() + BACK_WITHIN_S
        while True:
            try:
                version(address, 0.5)
                return
            except ProbeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)

    def _host(self, name: str) -> str:
        return self._named(name).direct[0]

    def _named(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise ClusterError(f"no node {name!r}: there are {', '.join(n.name for n in self.nodes)}")
