"""memquake on Locust: the composition root. Options, settings, wiring of hooks, user classes."""

from __future__ import annotations

from memquake.own_modules import OWN

with OWN.importing():
    from session import dispatching, locust_output
    from session.wiring import wire
    from telemetry import locust_stats
    from users.hot_key import HotKeyUser
    from users.mixed import MixedUser
    from users.multi_get import MultiGetUser
    from users.stampede import StampedeUser

OWN.keep_findable(HotKeyUser, MixedUser, MultiGetUser, StampedeUser)
locust_stats.install()
dispatching.install()
locust_output.install()
wire()

__all__ = ["HotKeyUser", "MixedUser", "MultiGetUser", "StampedeUser"]
