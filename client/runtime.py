"""Which kind of waiting this process has: gevent's hub, or plain blocking sockets.

Asked whenever a connection is made, because monkey patching may come after the import. The only
module beside `hub_connection` that knows of gevent, and it never imports it: who does not use
gevent does not load it.
"""

from __future__ import annotations

import sys

_KNOWN_LOOP = "gevent.libev.corecext"  # its watchers take a new callback while they are active


def has_hub_io() -> bool:
    """Say whether connections may wait on the hub's event loop themselves.

    True where gevent has replaced the module `socket` and runs on libev, its usual loop. Otherwise
    the ordinary socket does the waiting, in whatever way it was made to.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return False
    gevent = sys.modules["gevent"]
    return type(gevent.get_hub().loop).__module__ == _KNOWN_LOOP
