"""How many keys users keep in the nodes, against what their prefill really draws."""

from __future__ import annotations

import random

import pytest

from users.context import LoadSettings
from users.hot_key import SHARED_KEYS, HotKeyUser
from users.mixed import OWN_KEYS, MixedUser
from users.steady import remaining_ttl, share_there


@pytest.mark.parametrize("sets_a_s", [0.0, 0.001, 0.02, 1.0])
@pytest.mark.parametrize("deletes_a_s", [0.0, 0.004])
def test_share_of_keys_that_are_there(sets_a_s: float, deletes_a_s: float) -> None:
    """The share that is worked out is the one that is drawn."""
    rng = random.Random(5)
    rates = {"sets_a_s": sets_a_s, "deletes_a_s": deletes_a_s, "low_s": 30, "high_s": 90}
    drawn = [remaining_ttl(rng, **rates) is not None for _ in range(20_000)]
    assert share_there(**rates) == pytest.approx(sum(drawn) / len(drawn), abs=0.015)


def test_own_keys_grow_with_the_users_and_shared_ones_do_not() -> None:
    """Values have the size of the run."""
    settings = LoadSettings(value_size=5_000, mix={"get": 1})
    assert [some.count for some in HotKeyUser.kept(settings, 7, 10.0)] == [SHARED_KEYS]
    one, ten = (MixedUser.kept(settings, users, 10.0)[0] for users in (1, 10))
    assert ten.count - one.count == pytest.approx(9 * OWN_KEYS)
    assert ten.value == 5_000
