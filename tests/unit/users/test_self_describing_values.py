"""A value proves for which key it was written, or is found out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from users.values import Problem, check, describe, make

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
SIZES = st.integers(100, 400)


@given(key=KEYS, version=st.integers(0, 10**9), size=st.integers(0, 400))
def test_a_value_is_right_for_its_own_key_and_has_the_size_asked_for(
    key: str, version: int, size: int
) -> None:
    value = make(key, "w0.1", version, size)
    assert len(value) == size
    assert check(key, value, size) is None
    assert check(key, value) is None


@given(key=KEYS, size=SIZES, at=st.integers(0), flip=st.integers(1, 255))
def test_any_flip_of_a_byte_is_found(key: str, size: int, at: int, flip: int) -> None:
    value = bytearray(make(key, "w0.1", 7, size))
    value[at % size] ^= flip
    assert check(key, bytes(value), size) is not None


@given(key=KEYS, other=KEYS, size=SIZES)
def test_a_value_of_any_other_key_is_found_and_named(key: str, other: str, size: int) -> None:
    finding = check(key, make(other, "w0.1", 7, size), size)
    assert (finding is None) == (key == other)
    if finding is not None:
        assert finding.problem is Problem.OTHER_KEY
        assert other in finding.got


@given(key=KEYS, size=SIZES, cut=st.integers(1))
def test_a_value_cut_short_is_found(key: str, size: int, cut: int) -> None:
    value = make(key, "w0.1", 7, size)
    assert check(key, value[: cut % size], size) is not None


@given(key=KEYS, other=KEYS, size=st.integers(12, 30))
def test_values_too_short_for_a_header_still_tell_keys_apart(
    key: str, other: str, size: int
) -> None:
    value = make(other, "writer-of-some-length", 10**9, size)
    assert (check(key, value, size) is None) == (key == other)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param(b"", Problem.FOREIGN, id="empty"),
        pytest.param(b"x" * 100, Problem.FOREIGN, id="not-ours"),
        pytest.param(make("k", "w0.1", 1, 100)[1:] + b"x", Problem.FOREIGN, id="shifted-by-one"),
        pytest.param(make("k", "w0.1", 1, 100)[:-1] + b"x", Problem.TORN, id="last-byte-changed"),
        pytest.param(make("k", "w", 1, 50) + make("k", "w", 1, 50), Problem.TORN, id="two-in-one"),
        pytest.param(make("kk", "w0.1", 1, 100), Problem.OTHER_KEY, id="longer-key"),
    ],
)
def test_the_problem_is_named(value: bytes, problem: Problem) -> None:
    finding = check("k", value, 100)
    assert finding is not None
    assert finding.problem is problem


def test_a_description_names_key_writer_and_version() -> None:
    text = describe(make("r:m0.1:5", "w2.3", 17, 100))
    assert text == "whole value of key r:m0.1:5, writer w2.3, version 17, 100 B"


def test_a_description_of_anything_else_is_short() -> None:
    assert len(describe(b"\x00" * 10_000)) < 400
    assert describe(12).startswith("int ")
