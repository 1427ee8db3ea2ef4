"""memquake on Locust: the composition root. Options, settings, wiring of hooks, user classes."""

from __future__ import annotations

from session.wiring import wire
from telemetry.locust_stats import install
from users.hot_key import HotKeyUser
from users.mixed import MixedUser
from users.multi_get import MultiGetUser
from users.stampede import StampedeUser

install()
wire()

__all__ = ["HotKeyUser", "MixedUser", "MultiGetUser", "StampedeUser"]
