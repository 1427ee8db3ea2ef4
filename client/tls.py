"""An encrypted socket on which no call lasts longer than it may, whatever waits underneath.

The encryption runs on buffers in memory; the plain socket below does all the waiting, one bounded
step at a time. Wrapping the socket itself would leave the time to others: gevent's encrypted socket
starts its timeout anew with every byte of a half-received record.

Rule: a readable socket is not yet a readable stream. The peer may send records of its own (session
tickets, new keys) on a connection at rest, so `ready` decrypts before it says that something came.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from client.connection import (
    MINIMUM_WAIT_S,
    NEXT_READ,
    REFUSAL,
    Connection,
    pristine_select,
)
from client.errors import (
    CertificateNotTrusted,
    ConnectRefused,
    ConnectTimeout,
    MemcacheClientError,
    TlsFailed,
    TooManyConnections,
)
from client.records import PIECE, RECORD, Cutter

LATE_STEPS = 16  # of a handshake past its deadline, none of which waits
_OTHER_NAME = {62: "it is for another host name", 64: "it is for another address"}  # X509_V_ERR_*


class TlsSocket:
    """What `Connection` needs of a socket, encrypted. Owns the socket from the start."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        *,
        hostname: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._socket = sock
        self._clock = clock
        self._timeout = MINIMUM_WAIT_S
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._cutter = Cutter()
        self._unsent = b""  # encrypted, not yet taken by the socket
        self._held = b""  # decrypted by `ready`, not yet received
        self._opening = b""  # the peer's first bytes, as they came
        self._poller = pristine_select.poll()
        self._poller.register(sock.fileno(), pristine_select.POLLIN)

    def handshake(self, until: float) -> None:
        """Agree with the peer by `until`, a time of the clock. The caller closes on any error.

        Raises CertificateNotTrusted, TlsFailed, ConnectTimeout, ConnectRefused, TooManyConnections.
        """
        try:
            self._shake_hands(until)
        except ssl.SSLError as error:
            if self._opening == REFUSAL:  # memcached says it before it encrypts anything
                raise TooManyConnections from error
            with contextlib.suppress(OSError):
                self._flush(until)  # tell the peer why
            raise _tls_error(error) from error
        except TimeoutError as error:
            raise ConnectTimeout("no TLS handshake within the connect timeout") from error
        except OSError as error:
            raise ConnectRefused from error

    def settimeout(self, seconds: float) -> None:
        """Limit each of the calls that follow."""
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def send(self, data: Any) -> int:
        """Send the first bytes of `data`; give how many. Raises OSError, TimeoutError.

        With a timeout of 0 what the socket does not take is kept, encrypted as it is, and goes
        out first with the next call of any kind.
        """
        if self._timeout == 0 and not self._flush_now():
            raise BlockingIOError
        piece = bytes(data[:PIECE])
        piece = piece[: self._cutter.cut(piece)]
        begun = 0
        while begun < len(piece):  # a record at a time
            begun += self._tls.write(piece[begun : begun + RECORD])
        if self._timeout == 0:
            self._flush_now()
        else:
            self._flush(self._clock() + self._timeout)
        return len(piece)

    def recv(self, size: int) -> bytes:
        """Give up to `size` bytes, none at the end. Raises OSError, TimeoutError."""
        if self._held:
            data, self._held = self._held[:size], self._held[size:]
            return data
        until = self._clock() + self._timeout
        if self._unsent:
            self._flush(until)  # no reply comes to what has not been sent
        while True:
            try:
                data = self._tls.read(size)
            except ssl.SSLWantReadError:
                self._flush(until)
                self._fill(until)
                continue
            except ssl.SSLZeroReturnError:
                return b""
            self._flush(until)  # an answer to new keys, if any
            return data

    def ready(self, _milliseconds: int = 0) -> list[Any]:
        """Give a list that is empty unless `recv` would have something to say at once."""
        try:
            self._socket.settimeout(0)
            self._flush_now()
            while not self._held:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._held = self._tls.read(NEXT_READ)
                    break
                if not self._poller.poll(0):
                    return []
                self._take(self._socket.recv(NEXT_READ))
        except OSError:
            pass  # an end or an error: recv has that to say
        finally:
            self._socket.settimeout(self._timeout)
        return [self]

    def fileno(self) -> int:
        """Give the descriptor of the socket below."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket below, without a farewell, which would be I/O."""
        self._socket.close()

    def _shake_hands(self, until: float) -> None:
        late_steps = 0
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                # What has arrived by the deadline is taken: this process may have stalled.
                if self._clock() >= until:
                    late_steps += 1
                    if late_steps > LATE_STEPS or not self._poller.poll(0):
                        raise TimeoutError from None
                step = max(until, self._clock() + MINIMUM_WAIT_S)
                self._flush(step)
                self._fill(step)
                continue
            self._flush(max(until, self._clock() + MINIMUM_WAIT_S))
            return

    def _fill(self, until: float) -> None:
        self._limit(until)
        try:
            self._take(self._socket.recv(NEXT_READ))
        finally:
            self._socket.settimeout(self._timeout)

    def _take(self, data: bytes) -> None:
        if len(self._opening) < len(REFUSAL):
            self._opening = (self._opening + data)[: len(REFUSAL)]
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self, until: float) -> None:
        self._unsent += self._outgoing.read()
        if not self._unsent:
            return
        try:
            while self._unsent:
                self._limit(until)
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        finally:
            self._socket.settimeout(self._timeout)

    def _flush_now(self) -> bool:
        """Send what the socket takes without waiting; say whether that was all."""
        self._unsent += self._outgoing.read()
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        return not self._unsent

    def _limit(self, until: float) -> None:
        remaining = until - self._clock()
        if remaining <= 0:
            raise TimeoutError
        self._socket.settimeout(max(remaining, MINIMUM_WAIT_S))


class TlsConnection(Connection):
    """A connection over a TlsSocket, which alone knows whether something has come."""

    __slots__ = ()

    def __init__(
        self,
        sock: TlsSocket,
        *,
        op_timeout: float,
        clock: Callable[[], float],
        address: object = None,
    ) -> None:
        socket_like: Any = sock
        super().__init__(socket_like, op_timeout=op_timeout, clock=clock, address=address)
        self._is_readable = sock.ready


def _tls_error(error: ssl.SSLError) -> MemcacheClientError:
    if isinstance(error, ssl.SSLCertVerificationError):
        # OpenSSL's words are constant but for those about names, which would name the host.
        why = _OTHER_NAME.get(error.verify_code, error.verify_message)
        return CertificateNotTrusted(f"{CertificateNotTrusted.text}: {why}")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ConnectRefused("connection closed during the TLS handshake")
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    return TlsFailed(f"{TlsFailed.text}: {reason}")
