"""A real Prometheus on a free loopback port, with the configuration of the repository.

Only the target and the paths are the test's own. It ends with the test, by its pid.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from memquake.paths import PROMETHEUS
from tests.conftest import choose_free_port, wait_until

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 15.0

Sample = tuple[dict[str, str], float]


def find_program(name: str) -> str:
    """Give the path of `prometheus` or `promtool`; fails with the way out when it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not on PATH: apt-get install --no-install-recommends prometheus")
    return found


class PrometheusServer:
    """Scrapes one loopback port by the repository's configuration until `stop`."""

    def __init__(self, folder: Path, target_port: int) -> None:
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["rule_files"] = [str(PROMETHEUS / path) for path in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target_port}"]}]
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        self.port = choose_free_port()
        self._http = requests.Session()
        self._http.trust_env = False
        self._log = folder / "prometheus.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    find_program("prometheus"),
                    f"--config.file={path}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._is_ready, within_s=READY_WITHIN_S, what="Prometheus being ready")
        except BaseException:
            self.stop()
            raise

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text(errors="replace")
        try:
            url = f"http://127.0.0.1:{self.port}/-/ready"
            return self._http.get(url, timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def api(self, path: str, **parameters: Any) -> Any:
        """Ask the API (`path` without /api/v1/); an error of Prometheus's is the test's."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        answer = self._http.get(url, params=parameters, timeout=30).json()
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]

    def over(self, expression: str, since: float) -> list[Sample]:
        """Give every series of a query from `since` (time.time()) on, with its largest number.

        What is never a number (a share of nothing) is no data.
        """
        data = self.api("query_range", query=expression, start=since, end=time.time(), step="1s")
        found = []
        for series in data["result"]:
            numbers = [float(value) for _, value in series["values"]]
            finite = [number for number in numbers if math.isfinite(number)]
            if finite:
                found.append((series["metric"], max(finite)))
        return found

    def stop(self) -> None:
        """End it. Safe to repeat."""
        self._http.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_WITHIN_S)
