"""Scripted servers and clients that are closed with the test."""

from __future__ import annotations

import importlib.util
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
