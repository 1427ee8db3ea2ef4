"""A process that forks with a client in it, and a client that is told of a node after its end."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from client import ClientClosed, MemcacheClient
from memquake.paths import CHECKOUT

Start = Callable[..., Any]
Make = Callable[..., MemcacheClient]

FORK = """
    import os, sys, time
    if sys.argv[2] == "gevent":
        from gevent import monkey

        monkey.patch_all()
    from client import ClientSettings, MemcacheClient

    cache = MemcacheClient([("127.0.0.1", int(sys.argv[1]))], ClientSettings(op_timeout=2.0))
    keys = {"of_parent": b"1" * 10, "of_child": b"2" * 10}
    cache.set_many(keys)
    assert cache.get_many(keys) == keys
    under_way = []
    if sys.argv[2] == "gevent":  # greenlets go on in the child
        import gevent

        under_way = [gevent.spawn(cache.get_many, keys)]
        gevent.sleep(0)
    child = os.fork()
    mine = "of_parent" if child else "of_child"
    answers = {cache.get(mine) for _ in range(20)}
    if under_way:
        gevent.joinall(under_way, timeout=10.0)
        many = under_way[0]
        if child:
            assert many.value == keys, many.value.failed
        else:
            assert many.ready(), cache
    cared_for = cache._care.is_running
    started = time.monotonic()
    cache.close()
    is_quick = time.monotonic() - started < 0.9  # nobody waits for a worker that is not there
    code = 0 if answers == {keys[mine]} and cared_for and is_quick else 1
    if child:
        _, status = os.waitpid(child, 0)
        code = code or os.waitstatus_to_exitcode(status)
    sys.stderr.flush()
    os._exit(code)
"""


@pytest.mark.parametrize("waits_by", ["gevent", "threads"])
def test_a_forked_process_leaves_the_connections_of_its_parent_alone(
    memcached: Start, relay: Start, waits_by: str
) -> None:
    """Both sides of a fork would read each other's replies: opaques are equal, values are not."""
    slow = relay(memcached().address, 0.005)
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORK), str(slow.address[1]), waits_by],
        cwd=CHECKOUT,
        capture_output=True,
        timeout=60.0,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("end", ["close", "drain"])
def test_a_closed_client_opens_nothing_to_a_node_that_is_added(
    memcached: Start, client: Make, end: str
) -> None:
    """Closed is closed: no call goes through, whoever owns its key by now."""
    old, new = memcached().address, memcached().address
    one = client(old)
    if end == "close":
        one.close()
    else:
        one.drain(0.1)
    one.add_node(new)
    for number in range(20):
        with pytest.raises(ClientClosed):
            one.get(f"key{number}")
