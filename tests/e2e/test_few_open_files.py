"""A machine that allows a process 1,024 open files: what fits runs, what does not is one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FEW = ("sh", "-c", 'ulimit -n 1024 && exec "$@"', "sh")  # the hard limit as well
LOAD = ("--scenario", "none", "-t", "8s", "--target-rate", "300")


def test_the_embedded_cluster_starts_and_is_judged(judge: Callable[..., Any]) -> None:
    """The nodes take as many connections as there may be files."""
    result = judge([*LOAD, "-u", "20"], through=FEW)
    assert result.exit_code == 0, str(result)


def test_a_load_that_would_run_out_of_files_never_starts(run_locust: Callable[..., Any]) -> None:
    """Its refused connections would look like the client's errors."""
    result = run_locust([*LOAD, "-u", "300", "--pool-size", "300"], through=FEW)
    assert result.exit_code == 2, str(result)
    line = result.stderr.strip().splitlines()[-1]  # before it Locust warns of the limit itself
    assert line.startswith("memquake: 300 calls at once to 3 nodes can take 1864 open files of to")
    assert "raise the hard limit" in line
    assert result.run_dir is None
