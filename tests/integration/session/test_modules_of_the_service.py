"""`--client` in a folder whose modules are called as memquake's are, in the interpreter of a run.

Locust's own loading of locustfiles, and nothing but it: no server, no load.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memquake.paths import CHECKOUT, LOCUSTFILE

START_S = 60.0

LOADED = """
import json, sys
from locust.util.load_locustfile import load_locustfile
for path in {locustfiles!r}:
    load_locustfile(path)
resolve = sys.modules["users.clients (memquake)"].resolve
found = {{}}
for spec in {specs!r}:
    try:
        found[spec] = resolve(spec)((), None)
    except Exception as why:
        found[spec] = f"{{type(why).__name__}}: {{why}}"
print(json.dumps(found))
"""

MAKE = "def {}(nodes, settings):\n    return 'theirs'\n"
ADAPTERS = {
    "client.py": MAKE.format("build"),
    "settings.py": (
        "from __future__ import annotations\n"
        "import dataclasses, typing\n"
        "class Size(int): ...\n"
        "@dataclasses.dataclass\n"
        "class Settings:\n    size: Size\n"
        "assert typing.get_type_hints(Settings)['size'] is Size\n"
        "CACHE = 'theirs'\n"
    ),
    "users/__init__.py": "",
    "users/models.py": "from client import build\nfrom . import clients\n",
    "users/clients.py": "from users.models import build as also\n" + MAKE.format("build"),
    "session.py": "import settings\n" + MAKE.format("build"),
    "report/deep.py": MAKE.format("build"),  # a folder without an __init__.py
    "telemetry/__init__.py": "1 / 0\n",
    "locustfile.py": MAKE.format("build"),
    "memquake.py": MAKE.format("build"),
    "at_import.py": "from client import build\n",
    "lazily.py": (
        "def build(nodes, settings):\n"
        "    from client import build\n    import settings as own\n"
        "    assert own.CACHE == 'theirs'\n    return build(nodes, settings)\n"
    ),
    "by_name.py": (
        "import importlib, os\n"
        "os.environ.setdefault('SETTINGS_MODULE', 'settings')\n"
        "def build(nodes, settings):\n"
        "    return importlib.import_module(os.environ['SETTINGS_MODULE']).CACHE\n"
    ),
}
THEIRS = [
    *("client:build", "users.models:build", "users.clients:build", "session:build"),
    *("report.deep:build", "locustfile:build", "memquake:build"),
    *("at_import:build", "lazily:build", "by_name:build"),
]


@pytest.fixture
def service(tmp_path: Path) -> Path:
    for name, source in ADAPTERS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def python(words: list[str], *, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


def resolved(specs: list[str], *, cwd: Path, path: str = "", first: str = "") -> dict[str, Any]:
    """Give what each of `--client` gives where Locust has loaded our locustfile."""
    locustfiles = [*([first] if first else []), str(LOCUSTFILE)]
    code = LOADED.format(locustfiles=locustfiles, specs=specs)
    done = python(["-P", "-c", code], cwd=cwd, path=path)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_service_s_own_modules_are_put_under_test(service: Path) -> None:
    found = resolved([*THEIRS, "cluster:build"], cwd=service)
    # memquake's own may be found where its folder is on the path, but it builds no client.
    assert found.pop("cluster:build").startswith("ClientSpecError")
    assert found == dict.fromkeys(THEIRS, "theirs")


def test_the_standard_library_stays_what_it_is_and_the_line_names_both(tmp_path: Path) -> None:
    (tmp_path / "calendar.py").write_text(MAKE.format("build"))
    said = resolved(["calendar:build"], cwd=tmp_path)["calendar:build"]
    assert "calendar is also a module that Python has loaded before (" in said
    assert said.endswith(f"rename {tmp_path / 'calendar.py'}")


def test_from_the_checkout_with_the_service_on_the_path(service: Path) -> None:
    """The working directory has modules of these names too, and they are memquake's."""
    found = resolved(THEIRS, cwd=CHECKOUT, path=str(service))
    assert found == dict.fromkeys(THEIRS, "theirs")


def test_a_locustfile_of_theirs_is_loaded_first(service: Path) -> None:
    own = service / "their_locustfile.py"
    own.write_text("import settings, client\nfrom users import models\n")
    found = resolved(THEIRS, cwd=service, first=str(own))
    assert found == dict.fromkeys(THEIRS, "theirs")


def test_memquake_s_client_is_there_for_who_asks_for_it(tmp_path: Path) -> None:
    """The adapter's library is memquake itself: its classes, not a copy."""
    (tmp_path / "adapter.py").write_text(
        "import sys\nfrom client.errors import BreakerOpen\n"
        "known = sys.modules['client.errors (memquake)'].BreakerOpen\n"
        "def build(nodes, settings):\n    return BreakerOpen is known\n"
    )
    found = resolved(["adapter:build"], cwd=tmp_path, path=str(CHECKOUT))
    assert found == {"adapter:build": True}


@pytest.mark.parametrize("words", [["-m", "faults", "list"]], ids=["faults"])
def test_memquake_s_commands_find_their_own_modules(service: Path, words: list[str]) -> None:
    (service / "cluster").mkdir()
    (service / "cluster" / "__init__.py").write_text("1 / 0\n")
    done = python(words, cwd=service, path=str(CHECKOUT))
    assert done.returncode == 0, done.stderr
    assert "node-blackhole" in done.stdout
