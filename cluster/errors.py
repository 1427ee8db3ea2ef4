"""What can go wrong with the nodes, in one line each."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster cannot be had as asked. `str()` is one line: the thing, then the way out."""
