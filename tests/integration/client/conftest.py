"""Scripted servers and clients that are closed with the test."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client import ClientSettings, MemcacheClient


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_byte_server = _load("byte_server")


@pytest.fixture
def byte_server() -> Iterator[Callable[..., Any]]:
    """Give a function that starts a scripted server: `byte_server(handler)`."""
    started: list[Any] = []

    def start(handler: Callable[..., None]) -> Any:
        started.append(_byte_server.ByteServer(handler))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def memcached_with(
    binary: Callable[[str], str], bounded: Callable[..., object]
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Give a function that starts a memcached that listens elsewhere: `(is_ready, *options)`."""
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


@pytest.fixture
def relay() -> Iterator[Callable[..., Any]]:
    """Give a function that puts a delay before a server: `relay(address, delay_s)`."""
    started: list[Any] = []

    def start(address: tuple[str, int], delay_s: float) -> Any:
        started.append(_byte_server.Relay(address, delay_s, time.sleep))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def client() -> Iterator[Callable[..., MemcacheClient]]:
    """Give a function that makes a client: `client(address, ..., op_timeout=...)`."""
    made: list[MemcacheClient] = []

    def make(*nodes: tuple[str, int], **settings: Any) -> MemcacheClient:
        made.append(MemcacheClient(nodes, ClientSettings(**settings)))
        return made[-1]

    yield make
    for one in made:
        one.close()
