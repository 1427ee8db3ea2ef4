"""A service's folder with modules of memquake's names: its own client is the one that is judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

CLIENT = """
from pymemcache.client.hash import HashClient
import settings
from users.models import TIMEOUT_S

class ServiceClient(HashClient):
    def get(self, key, default=None):
        return super().get(key, default) and settings.VALUE

def build(nodes, options):
    return ServiceClient(list(nodes), use_pooling=True, default_noreply=False, timeout=TIMEOUT_S)
"""
FILES = {
    "client.py": CLIENT,
    "settings.py": "VALUE = b'of another key'\n",
    "users/__init__.py": "",
    "users/models.py": "TIMEOUT_S = 0.5\n",
    "mycache.py": "def make(nodes, options):\n    from client import build\n"
    "    return build(nodes, options)\n",
    "session.py": "1 / 0\n",
    "locustfile.py": "1 / 0\n",
}


def test_the_service_s_own_client_is_judged_in_every_process(
    run_locust: Callable, tmp_path: Path
) -> None:
    """It returns wrong values, which memquake's own does not, and the verdict names its class."""
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    result = run_locust(
        [
            *("--client", "mycache:make", "--scenario", "none", "-t", "6s", "-u", "6"),
            *("--target-rate", "200", "--processes", "2"),
        ],
        timeout_s=60,
    )
    assert result.exit_code == 1, str(result)
    assert result.check("no_wrong_values")["verdict"] == "FAIL", str(result)
    told = result.verdict["client_under_test"]
    assert told["class"] == "client.ServiceClient"
    assert told["file"] == str(tmp_path / "client.py")
    assert told["factory_file"] == str(tmp_path / "mycache.py")
    assert "pymemcache" in told["libraries"]
    assert result.verdict["client"] == "mycache:make"
    assert set(result.verdict["versions"]) == {
        "memquake",
        "python",
        "gevent",
        "locust",
        "memcached",
    }
    assert f"from {tmp_path / 'mycache.py'}" in " ".join(result.stdout.split())
