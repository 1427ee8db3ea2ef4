"""Why a node of the user's own does not answer: one line with the way out.

What it says by itself decides first. Where it says nothing that is understood, it is asked once
more in the other languages that a memcached may be set to: the binary protocol alone, or TLS.
"""

from __future__ import annotations

import contextlib
import ssl

from cluster.direct import access_in_use, dial
from cluster.node import Address, spell
from cluster.probe import FullError, NotAllowedError, ProbeError, RefusedError, SilentError

LOOK_S = 1.0  # a node on another continent answers in 0.3 s
BINARY_NOOP = b"\x80\x0a" + bytes(22)
BINARY_REPLY = b"\x81"


def why_unusable(address: Address, why: ProbeError) -> str:
    """Return what is wrong with a node that did not answer `version`, and what to change."""
    where = spell(address)
    if isinstance(why, RefusedError):
        return f"nobody listens on {where}: is memcached running?"
    if isinstance(why, FullError):
        return f"{why}: raise its limit (memcached -c), or end others of its clients"
    if isinstance(why, NotAllowedError):
        return f"{why}: {_way_in(str(why))}"
    return _what_else(address, where, is_silent=isinstance(why, SilentError))


def _what_else(address: Address, where: str, *, is_silent: bool) -> str:
    if speaks_binary_alone(address):
        return (
            f"{where} speaks memcached's binary protocol alone: start it with -B auto or -B ascii, "
            "as the text commands are what is tested here"
        )
    if not access_in_use().tls_ca and speaks_tls(address):
        return f"{where} speaks TLS: give --tls-ca, the authority of its certificate"
    if is_silent:
        return (
            f"{where} is not memcached (it does not answer `version`), or halted, or at its limit "
            "of connections: check the port, and the node"
        )
    return f"{where} is not memcached (it does not answer `version`): check the port"


def _way_in(why: str) -> str:
    access = access_in_use()
    if "token" in why:
        return "check the file" if access.auth_token_file else "give --auth-token-file"
    if "not trusted" in why:
        return "check --tls-ca, and --tls-server-name, the name that the certificate is for"
    return (
        "leave --tls-ca out if the node is not encrypted, and give --tls-client-cert if it asks "
        "for a certificate"
    )


def speaks_binary_alone(address: Address) -> bool:
    """Return whether a node that is mute in text answers in memcached's binary protocol."""
    with contextlib.suppress(OSError), dial(address, LOOK_S) as sock:
        sock.sendall(BINARY_NOOP)
        return sock.recv(len(BINARY_NOOP)).startswith(BINARY_REPLY)
    return False


def speaks_tls(address: Address) -> bool:
    """Return whether a node agrees on TLS, whatever its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),
        dial(address, LOOK_S) as sock,
        context.wrap_socket(sock) as encrypted,
    ):
        return encrypted.version() is not None
    return False
