"""`python -m cluster.awaiting`: wait until given nodes and Toxiproxy answer, then end.

For whatever starts master and servers at the same time and knows no order (Kubernetes): a master
that finds a node missing ends with exit code 2, and that is right, because it cannot know that the
node is about to come. Reads `LOCUST_NODES` and `LOCUST_TOXIPROXY_URL`, the variables of the options
of that name, and those for TLS and the token; what is not set is not waited for. Exit code 0, or 2
with one line that names what did not answer.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from cluster.addresses import parse_nodes
from cluster.direct import access_of, use
from cluster.errors import ClusterError
from cluster.probe import ProbeError, version
from cluster.toxiproxy import Toxiproxy
from cluster.toxiproxy_api import ToxiproxyError

WITHIN = "60s"  # pulling an image and starting it
EVERY_S = 0.5
LOOK_S = 2.0  # one question
USAGE_ERROR = 2

Look = Callable[[], str]
"""Gives what is wrong, "" for nothing."""


def await_all(looks: Sequence[Look], *, within_s: float) -> list[str]:
    """Ask again and again until nothing is wrong; give what still was after `within_s`.

    Whoever has answered once is not asked again.
    """
    deadline = time.monotonic() + within_s
    waiting = list(looks)
    while True:
        found = [(look, look()) for look in waiting]
        waiting = [look for look, why in found if why]
        if not waiting or time.monotonic() >= deadline:
            return [why for _, why in found if why]
        time.sleep(EVERY_S)


def looks_of(variables: Mapping[str, str]) -> list[Look]:
    """Give a look for each server that the variables name. Raises ClusterError."""
    nodes, url = variables.get("LOCUST_NODES"), variables.get("LOCUST_TOXIPROXY_URL")
    use(access_of(variables))
    looks: list[Look] = [_look_at_node(each) for each in (parse_nodes(nodes) if nodes else ())]
    if url:
        looks.append(_look_at_toxiproxy(url))
    return looks


def _look_at_node(address: tuple[str, int]) -> Look:
    def look() -> str:
        try:
            version(address, LOOK_S)
        except (ProbeError, UnicodeError) as why:
            return str(why)
        return ""

    return look


def _look_at_toxiproxy(url: str) -> Look:
    def look() -> str:
        api = Toxiproxy(url, deadline_s=LOOK_S)
        try:
            api.identify()
        except ToxiproxyError as why:
            return str(why)
        finally:
            api.close()
        return ""

    return look


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?s?", text) is None:
        raise ClusterError(f"--within {text!r} is not a number of seconds: give 120s")
    return float(text.removesuffix("s"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait as the command line and the environment say; give the exit code."""
    parser = argparse.ArgumentParser(prog="cluster.awaiting", description="Wait for servers.")
    parser.add_argument("--within", default=WITHIN, help="how long, such as 120s")
    options = parser.parse_args(arguments)
    try:
        within_s = _seconds(options.within)
        missing = await_all(looks_of(os.environ), within_s=within_s)
    except ClusterError as error:
        return _refuse(str(error))
    return _refuse(f"after {within_s:g} s: {'; '.join(missing)}") if missing else 0


def _refuse(line: str) -> int:
    sys.stderr.write(f"memquake: {line}\n")
    return USAGE_ERROR


if __name__ == "__main__":
    raise SystemExit(main())
