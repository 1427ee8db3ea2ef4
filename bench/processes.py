"""A load process: Python in a session of its own, bounded in time, alone while it measures.

Whatever it starts ends with it, also when it hangs. Its result is a JSON file whose path it finds
in its environment, so that nothing a library prints can be taken for a figure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.nodes import BenchError
from memquake.paths import CHECKOUT

UNDER_GEVENT = ("-m", "gevent.monkey", "--module")  # patched before anything else is imported
SPARE_S = 60.0  # start-up, filling and reports of a slow machine


def execute(
    name: str,
    command: Sequence[str],
    *,
    seconds: float,
    env: Mapping[str, str] | None = None,
    fine: Collection[int] = (0,),
) -> str:
    """Run a command that should take about `seconds` and give what it printed.

    Raises BenchError when it takes far longer or ends with an exit code that is not `fine`.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(seconds + SPARE_S)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{name} did not end within {SPARE_S:.0f} s of its time") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode not in fine:
        raise BenchError(f"{name} ended with exit code {process.returncode}: {last_line(text)}")
    return text


def run_python(
    name: str,
    arguments: Sequence[str],
    *,
    seconds: float,
    env: Mapping[str, str],
    fine: Collection[int] = (0,),
) -> Any:
    """Run Python with `arguments` and give the JSON that it wrote to $BENCH_RESULT."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        result = Path(folder) / "result.json"
        output = execute(
            name,
            [sys.executable, *arguments],
            seconds=seconds,
            env={"BENCH_SECONDS": str(seconds), "BENCH_RESULT": str(result), **env},
            fine=fine,
        )
        try:
            return json.loads(result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise BenchError(f"{name} wrote no result: {last_line(output)}") from None


def last_line(text: str) -> str:
    """Give the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "(no output)"
