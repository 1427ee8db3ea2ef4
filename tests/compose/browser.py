"""A real browser, headless, as far as a test needs one: open, click, look, take a picture.

Spoken to by its own debugging protocol over one web socket; no driver to install. Every wait is
bounded, and the browser ends with the block.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
READY_WITHIN_S = 30.0
ANSWER_WITHIN_S = 20.0
POLL_S = 0.1


class Page:
    """One page of the browser."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call the protocol and give the result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """Give the value of an expression on the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str, within_s: float = ANSWER_WITHIN_S) -> Any:
        """Wait until an expression on the page is true and give it."""
        deadline = time.monotonic() + within_s
        while not (value := self.evaluate(script)):
            assert time.monotonic() < deadline, f"{script} did not come true within {within_s} s"
            time.sleep(POLL_S)
        return value

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of the first element of a selector."""
        box = self.wait_for(
            f"(() => {{const e = document.querySelector({json.dumps(selector)});"
            "if (!e) return null; e.scrollIntoView({block: 'center'});"
            "const r = e.getBoundingClientRect();"
            "return r.width ? [r.left + r.width / 2, r.top + r.height / 2] : null;})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def text(self) -> str:
        """Give what the page says."""
        return str(self.evaluate("document.body.innerText"))

    def picture(self, path: Path) -> Path:
        """Write a PNG of what is seen."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
        return path


@contextmanager
def browser(folder: Path, *, width: int = 1400, height: int = 1000) -> Iterator[Page]:
    """Start a browser of its own and give its page."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, f"no browser found: install one of {', '.join(NAMES)}"
    home = folder / "browser"
    process = subprocess.Popen(
        [
            program,
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars"),
            f"--window-size={width},{height}",
            f"--user-data-dir={home}",
            *("--remote-debugging-address=127.0.0.1", "--remote-debugging-port=0", "about:blank"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        socket = websocket.create_connection(
            _page_url(process, home), timeout=ANSWER_WITHIN_S, suppress_origin=True
        )
        try:
            yield Page(socket)
        finally:
            socket.close()
    finally:
        process.kill()
        process.wait(10)


def _page_url(process: subprocess.Popen[bytes], home: Path) -> str:
    deadline = time.monotonic() + READY_WITHIN_S
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < deadline:
            assert process.poll() is None, f"the browser ended with {process.returncode}"
            try:
                port = (home / "DevToolsActivePort").read_text().split()[0]
                pages = session.get(f"http://127.0.0.1:{port}/json/list", timeout=5).json()
                return next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
            except (OSError, IndexError, StopIteration, requests.RequestException):
                time.sleep(POLL_S)
    raise AssertionError(f"the browser was not ready within {READY_WITHIN_S} s")
