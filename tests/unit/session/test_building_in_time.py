"""Building a client is bounded by what was asked for: nodes, and the deadline of a connect."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from session import subject
from users.clients import ClientSpecError


class Never:
    """A greenlet that does not end."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def join(self, limit_s: float) -> None:
        self.waited.append(limit_s)

    def ready(self) -> bool:
        return False

    def kill(self, *, block: bool) -> None:
        assert not block


@pytest.mark.parametrize(
    ("nodes", "connect_timeout", "expected"), [(3, 0.25, 15.75), (50, 2.0, 115.0)]
)
def test_one_node_after_the_other_may_be_connected_to(
    monkeypatch: pytest.MonkeyPatch, nodes: int, connect_timeout: float, expected: float
) -> None:
    """Fifty nodes at two seconds each are no hang after fifteen."""
    building = Never()
    monkeypatch.setattr(subject, "gevent", SimpleNamespace(spawn=lambda *_: building))
    addresses = [("127.0.0.1", 11211 + i) for i in range(nodes)]
    with pytest.raises(ClientSpecError, match=f"did not end within {expected:g} s"):
        subject.build_bounded(
            lambda *_: None, addresses, SimpleNamespace(connect_timeout=connect_timeout)
        )
    assert building.waited == [expected]
