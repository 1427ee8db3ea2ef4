"""What nodes want before they answer: read from files that are named, and never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.direct import AccessError, NodeAccess, access_of


@pytest.mark.parametrize(
    ("text", "token"),
    [
        pytest.param("shop:s3cret\n", "shop s3cret", id="as memcached has it with -Y"),
        pytest.param("shop s3cret", "shop s3cret", id="as it is sent"),
        pytest.param("shop:s3:cret\r\nother:x\n", "shop s3:cret", id="the first of several"),
        pytest.param("shop s3:cret\n", "shop s3:cret", id="a colon in the password"),
    ],
)
def test_a_token_is_the_first_line_of_its_file(tmp_path: Path, text: str, token: str) -> None:
    """In memcached's own form or in that of the protocol."""
    file = tmp_path / "token"
    file.write_text(text)
    assert NodeAccess(auth_token_file=str(file)).token() == token


@pytest.mark.parametrize(
    "text",
    ["", "\n", "shop", "shop:", ":s3cret", "shop:s3\x00cret", "shop:s3cret" * 40],
    ids=["empty", "empty line", "no password", "empty password", "no user", "control", "too long"],
)
def test_a_file_without_a_token_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    """One line with the option and the file, without a word of what is in it."""
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(AccessError) as caught:
        NodeAccess(auth_token_file=str(file)).token()
    assert f"--auth-token-file {file}" in str(caught.value)
    assert "s3" not in str(caught.value).replace(str(file), "")


@pytest.mark.parametrize(
    ("option", "access"),
    [
        ("--tls-ca", {"tls_ca": "{}/nothing"}),
        ("--tls-ca", {"tls_ca": "{}"}),
        ("--tls-ca", {"tls_ca": "{}/token"}),
        ("--auth-token-file", {"auth_token_file": "{}/nothing"}),
        ("--auth-token-file", {"auth_token_file": "{}"}),
        ("--auth-token-file", {"auth_token_file": "{}/binary"}),
    ],
    ids=["no file", "a folder", "no certificate", "no file", "a folder", "no text"],
)
def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, option: str, access: dict[str, str]
) -> None:
    """One line each, whatever is wrong with the file."""
    (tmp_path / "token").write_text("shop:s3cret\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    given = NodeAccess(**{name: path.format(tmp_path) for name, path in access.items()})
    with pytest.raises(AccessError) as caught:
        given.context(), given.token()
    line = str(caught.value)
    assert line.startswith(f"{option} {tmp_path}")
    assert "\n" not in line


def test_what_is_sent_and_written_holds_no_secret(tmp_path: Path) -> None:
    """Names of files travel to workers, helpers and the guard; their contents do not."""
    file = tmp_path / "token"
    file.write_text("shop:s3cret\n")
    access = NodeAccess(tls_ca="/ca.pem", auth_token_file=str(file))
    assert "s3cret" not in f"{json.dumps(access.to_wire())} {access!r}"
    assert NodeAccess(**access.to_wire()) == access


def test_the_environment_names_it_as_the_options_do() -> None:
    """For what runs without Locust's command line, such as the wait for servers."""
    variables = {"LOCUST_TLS_CA": "/ca.pem", "LOCUST_AUTH_TOKEN_FILE": "/token", "LOCUST_MIX": "x"}
    assert access_of(variables) == NodeAccess(tls_ca="/ca.pem", auth_token_file="/token")
    assert access_of({}) == NodeAccess()
