"""The slow proofs in two lanes: those whose load leaves room for others run beside the rest.

Each lane is a pytest of its own with folders of its own; what the light one says is kept and shown
when both have ended. Arguments go to both. The exit code is 0 only when both lanes are green.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

LIGHT = "prove and light"
HEAVY = "prove and not light"


def main(arguments: list[str]) -> int:
    """Run both lanes to their end."""
    with tempfile.TemporaryDirectory(prefix="memquake-prove-") as folder:
        said = Path(folder) / "said"
        with said.open("w+") as output:
            light = subprocess.Popen(
                _lane(LIGHT, folder, arguments), stdout=output, stderr=subprocess.STDOUT
            )
            try:
                code = _ended(subprocess.Popen(_lane(HEAVY, folder, arguments)))
            finally:  # an interrupt reaches both: each cleans up what it has started
                light_code = _ended(light)
        sys.stdout.write(f"\nmeanwhile, `{LIGHT}`:\n{said.read_text(errors='replace')}")
        return code or light_code


def _lane(expression: str, folder: str, arguments: list[str]) -> list[str]:
    temporary = f"--basetemp={folder}/{expression.replace(' ', '-')}"
    return [sys.executable, "-m", "pytest", "-m", expression, temporary, *arguments, "tests"]


def _ended(lane: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return lane.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
