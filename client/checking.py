"""What settings share: one line that says what is wrong with a value and what would be right."""

from __future__ import annotations

import difflib
import math
from typing import Any


def check_count(name: str, value: object) -> None:
    """Raise ValueError unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")


def check_minimum(minimum: object, size: int) -> None:
    """Raise ValueError unless a pool of `size` connections can keep `minimum` of them open."""
    if isinstance(minimum, bool) or not isinstance(minimum, int) or not 0 <= minimum <= size:
        raise ValueError(
            f"pool_minimum must be a whole number from 0 to pool_size ({size}), not {minimum!r}"
        )


def check_seconds(name: str, value: object) -> None:
    """Raise ValueError unless `value` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number of seconds above 0, not {value!r}")


def check_tls(context: object, hostname: object) -> None:
    """Raise ValueError unless these can encrypt a connection, or ask for none."""
    if context is None:
        if hostname is not None:
            raise ValueError("tls_hostname is set, but tls is not: nothing would be encrypted")
        return
    if not callable(getattr(context, "wrap_bio", None)):
        raise ValueError(f"tls must be an ssl.SSLContext, not {type(context).__name__}")
    if hostname is not None and (not isinstance(hostname, str) or not hostname):
        raise ValueError(f"tls_hostname must be a host name, not {hostname!r}")


def check_token(token: object) -> None:
    """Raise ValueError unless `token` is "user password" or None; the message never shows it."""
    if token is None:
        return
    if not isinstance(token, str):
        raise ValueError(f"auth_token must be text, not {type(token).__name__}")
    user, _, password = token.partition(" ")
    if not user or not password or not token.isprintable():
        raise ValueError("auth_token must be 'user password' in one line")


def check_serde(serde: object) -> None:
    """Raise ValueError unless `serde` is None or has pymemcache's two methods."""
    if serde is None:
        return
    for name in ("serialize", "deserialize"):
        if not callable(getattr(serde, name, None)):
            raise ValueError(
                f"serde must have serialize(key, value) and deserialize(key, value, flags); "
                f"{serde!r} has no {name}"
            )


def unknown(what: str, name: object, known: Any) -> str:
    """Say that a name is unknown, with the nearest one or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return f"unknown {what} {name!r}: {hint}"
