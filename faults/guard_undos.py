"""How the guard undoes what was done to processes, groups, the packet filter and memcached.

Nothing but the standard library: the guard runs isolated. Every undo is bounded, may be carried out
twice, raises what went wrong, and touches only what carries our mark.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

from cluster.direct import NodeAccess, connect, use

TELL_S = 0.5  # of all lines together
GROUP_S = 0.5
NFT_S = 0.6  # it takes 10 ms
KILLED_S = 0.3


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


def undo_tell(
    address: tuple[str, int], lines: list[tuple[str, list[str]]], access: NodeAccess
) -> None:
    """Send a memcached one line after the other and hold each answer against the good ones.

    A node that is gone has nothing left to undo.
    """
    try:
        use(access)
        sock = connect(address, TELL_S)
    except (ConnectionRefusedError, FileNotFoundError):
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
