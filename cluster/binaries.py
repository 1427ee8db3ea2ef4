"""Where the server programs are: on PATH, else in the checkout's tool folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cluster.errors import ClusterError
from memquake.paths import PROGRAMS


def find_memcached(tools: Path = PROGRAMS) -> str:
    """Give the absolute path of memcached; ClusterError with the way out when there is none."""
    return _find("memcached", tools, "run `make setup`, or install the package `memcached`")


def find_toxiproxy(tools: Path = PROGRAMS) -> str:
    """Give the absolute path of toxiproxy-server; ClusterError with the way out when none."""
    return _find("toxiproxy-server", tools, "run `make setup`, which installs it into .tools/bin")


def _find(name: str, tools: Path, way_out: str) -> str:
    # sbin is where some systems put memcached, off the PATH of ordinary users.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(tools), "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise ClusterError(f"{name} not found on PATH or in {tools.parent.name}/bin: {way_out}")
    return os.path.abspath(found)
