"""A server that sends exactly the bytes it is told, when it is told: what no memcached would do."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
import time
from collections.abc import Callable

Handler = Callable[[socket.socket], None]


class ByteServer:
    """Accept loopback connections and run `handler` on each until told to stop."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self._handler = handler
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.accepted: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._handler(connection)
        except OSError:
            pass  # the client hung up: its right
        finally:
            connection.close()

    def stop(self) -> None:
        """Stop listening and end every connection."""
        self._listener.close()
        for connection in self.accepted:
            connection.close()


class Relay:
    """A relay to a real server that can hold replies back for a while, as a network does."""

    def __init__(self, upstream: tuple[str, int], delay_s: float, sleep: Callable[[float], object]):
        self.delay_s = delay_s
        self._upstream = upstream
        self._sleep = sleep
        self._server = ByteServer(self._relay)
        self.address = self._server.address

    def _relay(self, client: socket.socket) -> None:
        with socket.create_connection(self._upstream) as server:

            def forth() -> None:
                with contextlib.suppress(OSError):
                    while data := client.recv(65_536):
                        server.sendall(data)
                with contextlib.suppress(OSError):  # a reset ends the way too
                    server.shutdown(socket.SHUT_WR)

            threading.Thread(target=forth, daemon=True).start()
            while data := server.recv(65_536):
                self._sleep(self.delay_s)
                client.sendall(data)

    def stop(self) -> None:
        """End every connection."""
        self._server.stop()


class Verdict(enum.Enum):
    """What a gate does with a request."""

    PASS = "pass"
    HOLD = "hold"  # until told to let go; then hang up
    HANG_UP = "hang up"


class Gate:
    """A relay to a real server that judges each small request by its bytes.

    One request at a time on a connection, as a client without pipelining sends them.
    """

    def __init__(
        self, upstream: tuple[str, int], judge: Callable[[bytes], Verdict], delay_s: float
    ) -> None:
        self._upstream = upstream
        self._judge = judge
        self._delay_s = delay_s
        self._let_go = threading.Event()
        self.held = 0
        self._server = ByteServer(self._relay)
        self.address = self._server.address

    def _relay(self, client: socket.socket) -> None:
        with socket.create_connection(self._upstream) as server:
            while data := client.recv(65_536):
                verdict = self._judge(data)
                if verdict is Verdict.HANG_UP:
                    return
                if verdict is Verdict.HOLD:
                    self.held += 1
                    self._let_go.wait(10.0)
                    self.held -= 1
                    return
                server.sendall(data)
                answer = server.recv(65_536)
                time.sleep(self._delay_s)
                client.sendall(answer)

    def let_go(self) -> None:
        """Hang up on everybody who is held."""
        self._let_go.set()
        self._let_go = threading.Event()

    def stop(self) -> None:
        """End every connection."""
        self._let_go.set()
        self._server.stop()
