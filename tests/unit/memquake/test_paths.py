"""Where the folders are: there, and the same whichever way the checkout is reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memquake import paths

PLACES = {name: place for name, place in vars(paths).items() if isinstance(place, Path)}
INSTALLED = ("TOOLS", "PROGRAMS")  # by the set-up
ASKED = (
    "import json, memquake.units, memquake.paths as p; "
    "print(json.dumps([memquake.units.__file__, str(p.CHECKOUT)]))"
)


@pytest.mark.parametrize("name", sorted(PLACES.keys() - set(INSTALLED)))
def test_each_place_is_there(name: str) -> None:
    assert PLACES[name].exists()


def test_a_checkout_behind_a_link_has_the_files_of_the_real_one(tmp_path: Path) -> None:
    """Whose code a frame is, is seen by the beginning of its file."""
    link = tmp_path / "checkout"
    link.symlink_to(paths.CHECKOUT)
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(link)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    units = str(paths.CHECKOUT / "memquake" / "units.py")
    assert json.loads(done.stdout) == [units, str(paths.CHECKOUT)]
