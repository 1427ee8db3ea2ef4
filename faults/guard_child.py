"""The guard itself: a process that undoes the harness's faults when the harness cannot.

Run by file path, with nothing but the standard library, in a session of its own, deaf to the
signals that end the harness. It reads JSON lines from its stdin: undos with a deadline, children,
heartbeats. It acts in three cases:
1. The pipe ends, or its parent is another: the harness is dead. All undos, then all children.
2. A deadline passes: that undo.
3. No line for two seconds while undos are registered: the harness is stopped or hangs. All undos;
   the children stay, because the harness may come back.
What it did goes to its stdout, so a harness that lives on learns that its run is spoilt; that of a
dead one is written into the journal of its run.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

BEAT_LIMIT_S = 2.0  # four heartbeats
POLL_S = 0.1
CALL_S = 0.7  # of one HTTP call; three of them fit into the 3 s that a dead harness leaves
LOOK_S = 0.2  # a server that answers does so within milliseconds
DELETE_S = 0.35  # then the proxy is made anew, which takes a few milliseconds
TELL_S = 0.5  # of all lines together
GROUP_S = 0.5
NFT_S = 0.6  # it takes 10 ms
KILLED_S = 0.3
ROUND_S = 1.0  # how long one round of undos may keep the guard from reading
RETRY_S = 0.3
END_S = 2.2  # all undos of a dead harness; its children are killed after that at the latest

STDIN, STDOUT = 0, 1


class Guardian:
    """What is registered, and what to do about it."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.undos: dict[str, tuple[dict[str, Any], float]] = {}  # id -> (undo, due)
        self.children: dict[int, str] = {}  # pid -> start time, "" where the system tells none
        self.respawned: list[subprocess.Popen[bytes]] = []
        self.last_sign = time.monotonic()
        self.buffer = b""
        self.journal: tuple[str, float | None] | None = None  # of the run under way; its second 0
        self.last_words: list[tuple[float, dict[str, Any]]] | None = None

    def run(self) -> None:
        """Guard until the harness is gone, then end everything."""
        self.say(what="ready", pid=os.getpid())
        while self.read(POLL_S) and os.getppid() == self.parent:
            now = time.monotonic()
            for process in self.respawned:
                process.poll()
            if self.undos and now - self.last_sign > BEAT_LIMIT_S:
                self.undo(list(self.undos), f"no heartbeat for {BEAT_LIMIT_S:g} s", ROUND_S)
                continue
            overdue = [name for name, (_, due) in self.undos.items() if due <= now]
            if overdue:
                self.undo(overdue, "its deadline passed", ROUND_S)
        self.end()

    def read(self, wait_s: float) -> bool:
        """Take in every line that is there; False at the end of the pipe.

        All that waits in the pipe is read before anything is judged: after a stall of the whole
        machine the heartbeats are there, only late.
        """
        while select.select([STDIN], [], [], wait_s)[0]:
            data = os.read(STDIN, 65536)
            if not data:
                return False
            self.last_sign = time.monotonic()
            *lines, self.buffer = (self.buffer + data).split(b"\n")
            for line in lines:
                # A line that makes no sense must not end the guard.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self.take(json.loads(line))
            wait_s = 0.0
        return True

    def take(self, message: dict[str, Any]) -> None:
        """Carry out one line of the harness."""
        match message["do"]:
            case "register":
                due = time.monotonic() + float(message["deadline_s"])
                self.undos[str(message["id"])] = (message["undo"], due)
            case "done":
                self.undos.pop(str(message["id"]), None)
            case "child":
                pid = int(message["pid"])
                start = start_time(pid)
                if start is not None:
                    self.children[pid] = start
            case "forget":
                self.children.pop(int(message["pid"]), None)
            case "journal":
                path, epoch = message["path"], message["epoch"]
                self.journal = None if path is None else (path, epoch)

    def undo(self, names: list[str], why: str, limit_s: float) -> None:
        """Undo several things at once; what fails stays registered and is tried again."""
        outcome: dict[str, str] = {}

        def work(name: str, undo: dict[str, Any]) -> None:
            try:
                self.undo_one(name, undo)
                outcome[name] = ""
            except Exception as error:
                outcome[name] = f"{type(error).__name__}: {error}"

        threads = []
        for name in names:
            undo, _ = self.undos[name]
            thread = threading.Thread(target=work, args=(name, undo), daemon=True)
            thread.start()
            threads.append(thread)
        limit = time.monotonic() + limit_s
        for thread in threads:
            thread.join(max(0.0, limit - time.monotonic()))
        for name in names:
            error = outcome.get(name, "no answer yet")
            if error:
                undo, _ = self.undos[name]
                self.undos[name] = (undo, time.monotonic() + RETRY_S)
                self.say(what="undo_failed", id=name, why=why, error=error)
            else:
                del self.undos[name]
                self.say(what="undone", id=name, why=why)

    def undo_one(self, name: str, undo: dict[str, Any]) -> None:
        """Undo one thing; raises what went wrong."""
        match undo["kind"]:
            case "toxiproxy" if undo.get("toxic") is None:
                undo_disabled(undo["url"], undo["proxy"])
            case "toxiproxy":
                undo_toxics({**undo, "toxics": [undo["toxic"]]})
            case "toxics":
                undo_toxics(undo)
            case "cont":
                send(int(undo["pid"]), str(undo.get("start") or ""), signal.SIGCONT)
            case "respawn":
                process = subprocess.Popen(
                    undo["argv"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                self.respawned.append(process)
                self.children[process.pid] = start_time(process.pid) or ""
                self.say(what="respawned", id=name, pid=process.pid)
            case "kill":
                undo_helper(int(undo["pid"]), str(undo.get("start") or ""))
            case "tell":
                undo_tell(undo["host"], int(undo["port"]), undo["lines"])
            case "wish":
                undo_wish(undo["path"], undo["word"])
            case "cgroup":
                undo_cgroup(undo["group"], undo["home"])
            case "nft":
                undo_nft(undo["nft"], undo["tables"])
            case "all":
                self.undo_all(name, undo["undos"])
            case kind:
                raise ValueError(f"unknown undo {kind}")

    def undo_all(self, name: str, undos: list[dict[str, Any]]) -> None:
        """Undo several things in their order, each whatever became of the one before."""
        troubles = []
        for undo in undos:
            try:
                self.undo_one(name, undo)
            except Exception as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]

    def end(self) -> None:
        """Undo everything, then kill every child: a proxy is healed before its server goes."""
        over = {"event": "broken_off", "why": "the master ended without a word"}
        self.last_words = [(time.monotonic(), over)]
        # A node that dies in a moment need not be started again.
        for name in [name for name, (undo, _) in self.undos.items() if undo["kind"] == "respawn"]:
            del self.undos[name]
        limit = time.monotonic() + END_S
        while self.undos and (left := limit - time.monotonic()) > 0:
            self.undo(list(self.undos), "the harness is gone", min(left, ROUND_S))
            if self.undos:
                time.sleep(0.05)
        for pid, start in self.children.items():
            send(pid, start, signal.SIGKILL)
        for process in self.respawned:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.3)
        # Last, because a disk may make us wait.
        self.write_last_words()

    def write_last_words(self) -> None:
        """Append to the journal of the run under way that it is over, and what was undone."""
        if self.journal is None or self.last_words is None:
            return
        path, epoch = self.journal
        with contextlib.suppress(OSError), open(path, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            is_whole = file.read(1) in (b"", b"\n")  # the harness may have died in mid-line
            text = "" if is_whole else "\n"
            for at, event in self.last_words:
                t = None if epoch is None else round(at - epoch, 6)
                text += json.dumps({"t": t, **event}) + "\n"
            file.seek(0, os.SEEK_END)
            file.write(text.encode())

    def say(self, **event: Any) -> None:
        """Tell the harness, if it can listen; never wait for it."""
        if self.last_words is not None:
            self.last_words.append((time.monotonic(), {"event": "guard", **event}))
        with contextlib.suppress(OSError):
            os.write(STDOUT, json.dumps(event).encode() + b"\n")


def start_time(pid: int) -> str | None:
    """Give when a process started, "" where the system does not tell, None when it is gone.

    With it a process that got the number of a dead one is never taken for it.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold anything; field 22 counts from after it.
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] == b"Z" else fields[19].decode()
    except (OSError, IndexError):
        if os.path.isdir("/proc/self"):
            return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return ""


def send(pid: int, start: str, number: int) -> None:
    """Send a signal to the process that was meant, or to none."""
    now = start_time(pid)
    if now is None or (start and now != start):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def undo_helper(pid: int, start: str) -> None:
    """Kill a helper of ours and see it gone: what it did last is then over."""
    send(pid, start, signal.SIGKILL)
    limit = time.monotonic() + KILLED_S
    while (now := start_time(pid)) is not None and (not start or now == start):
        if time.monotonic() > limit:
            raise TimeoutError(f"process {pid} does not end")
        time.sleep(0.005)


def undo_tell(host: str, port: int, lines: list[tuple[str, list[str]]]) -> None:
    """Send a memcached one line after the other and hold each answer against the good ones.

    A node that is gone has nothing left to undo.
    """
    try:
        sock = socket.create_connection((host, port), timeout=TELL_S)
    except ConnectionRefusedError:
        return
    with sock:
        limit = time.monotonic() + TELL_S
        for line, good in lines:
            sock.sendall(line.encode() + b"\r\n")
            answer = b""
            while not answer.endswith(b"\r\n"):
                sock.settimeout(max(0.01, limit - time.monotonic()))
                data = sock.recv(4096)
                if not data:
                    raise ConnectionResetError(f"{line}: no answer")
                answer += data
            if not answer.startswith(tuple(word.encode() for word in good)):
                raise RuntimeError(f"{line}: {answer[:100]!r}")


def undo_wish(path: str, word: str) -> None:
    """Tell a node's agent through its pipe; never wait for one that does not read."""
    pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(pipe, f"{word} 0\n".encode())  # the number is for who waits for an answer
    finally:
        os.close(pipe)


def undo_cgroup(group: str, home: str) -> None:
    """Move the processes of a group of ours back home and remove it; one that is gone is fine."""
    if not os.path.basename(group).startswith("memquake_"):
        raise ValueError(f"{group} is no group of memquake")
    limit = time.monotonic() + GROUP_S
    while os.path.isdir(group):
        with contextlib.suppress(FileNotFoundError), open(f"{group}/cgroup.procs") as file:
            for pid in file.read().split():
                # One a write, as the kernel wants it; one that has ended meanwhile is fine.
                with contextlib.suppress(ProcessLookupError), open(home, "w") as procs:
                    procs.write(pid)
        try:
            os.rmdir(group)
        except FileNotFoundError:
            return
        except OSError:  # busy for a moment after the last process has left
            if time.monotonic() > limit:
                raise
            time.sleep(0.01)


def undo_nft(program: str, tables: list[tuple[str, str]]) -> None:
    """Delete tables of the packet filter, all or none; one that is gone is fine."""
    for _, name in tables:
        if not name.startswith("memquake_"):
            raise ValueError(f"{name} is no table of memquake")
    # Adding a table that exists changes nothing, so the deletion never meets a missing one.
    lines = [
        f"add table {family} {name}\ndelete table {family} {name}\n" for family, name in tables
    ]
    subprocess.run(
        [program, "-f", "-"],
        input="".join(lines).encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=NFT_S,
        check=True,
    )


def undo_disabled(url: str, proxy: str) -> None:
    """Open a closed proxy again; one that is gone is fine."""
    expect(call(url, "POST", "/proxies/" + quote(proxy, safe=""), {"enabled": True}), 200, 404)


def undo_toxics(undo: dict[str, Any]) -> None:
    """Remove toxics of one proxy; what is gone is fine.

    Deleting a toxic can hang, and every question about the proxy with it; then the proxy is made
    anew on the same address with the toxics that were not ours to remove.
    """
    url, names = undo["url"], undo["toxics"]
    path = "/proxies/" + quote(undo["proxy"], safe="")
    old: dict[str, Any] = {}
    try:
        status, body = call(url, "GET", path, within_s=LOOK_S)
        if status == 404:
            return
        expect((status, body), 200)
        old = json.loads(body)
        for name in names:
            where = f"{path}/toxics/{quote(name, safe='')}"
            expect(call(url, "DELETE", where, within_s=DELETE_S), 204, 404)
    except TimeoutError:
        address = {key: old.get(key) or undo.get(key) for key in ("listen", "upstream")}
        if not all(address.values()):
            raise
        expect(call(url, "DELETE", path, within_s=DELETE_S), 204, 404)
        again = {"name": undo["proxy"], **address, "enabled": True}
        expect(call(url, "POST", "/proxies", again), 201, 200, 409)
        for toxic in old.get("toxics") or ():
            if toxic["name"] not in names:
                expect(call(url, "POST", f"{path}/toxics", toxic), 200, 201, 409)


def call(
    url: str, method: str, path: str, body: Any = None, within_s: float = CALL_S
) -> tuple[int, bytes]:
    """Make one HTTP call, past every proxy of the environment."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    make: Callable[..., http.client.HTTPConnection] = (
        http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    )
    connection = make(parts.hostname or "127.0.0.1", parts.port, timeout=within_s)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, parts.path.rstrip("/") + path, data)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def expect(answer: tuple[int, bytes], *good: int) -> None:
    """Raise unless the status is one of the good ones."""
    if answer[0] not in good:
        raise RuntimeError(f"status {answer[0]}: {answer[1][:200]!r}")


def main() -> None:
    """Guard the process that started this one."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(STDOUT, False)
    Guardian().run()


if __name__ == "__main__":
    main()
