"""How much of a node's traffic is the harness's own: direct connections, and keys asked or stored.

What the servers count is evidence against a client only without what the harness did itself. One
tally for each process, because direct reads come from several places in it; whoever samples the
process takes what has come since the last time. It counts and knows nothing else.
"""

from __future__ import annotations

from collections import Counter


class DirectCounts:
    """Counts by node name since the last `take`."""

    def __init__(self) -> None:
        self.connections: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.misses: Counter[str] = Counter()  # keys asked that the node did not have

    def take(self) -> dict[str, tuple[int, int, int]]:
        """Return node -> (connections, commands, misses) and begin anew."""
        connections, self.connections = self.connections, Counter()
        commands, self.commands = self.commands, Counter()
        misses, self.misses = self.misses, Counter()
        return {
            node: (connections[node], commands[node], misses[node])
            for node in sorted(connections.keys() | commands.keys())
        }


DIRECT = DirectCounts()
"""What this process did past the client under test."""
