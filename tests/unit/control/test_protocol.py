"""The wire between knockctl and the daemon."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.control.protocol import (
    VERSION,
    Refusal,
    Request,
    answer_line,
    refusal_line,
    request_line,
    request_of,
    result_of,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_a_request_says_what_is_to_be_done_and_with_what() -> None:
    line = b'{"version": 1, "do": "extend", "door": "ssh", "seconds": 60}'
    assert request_of(line) == Request("extend", {"door": "ssh", "seconds": 60})


def test_lines_are_what_the_manual_page_says() -> None:
    assert request_line(Request("doors", {})) == b'{"version": 1, "do": "doors"}\n'
    assert answer_line([]) == b'{"version": 1, "ok": true, "result": []}\n'
    assert refusal_line("no") == b'{"version": 1, "ok": false, "error": "no"}\n'


@given(st.binary())
def test_any_bytes_are_a_request_or_are_refused(line: bytes) -> None:
    with suppress(Refusal):
        assert isinstance(request_of(line).do, str)


@given(st.binary())
def test_any_bytes_are_an_answer_or_are_refused(line: bytes) -> None:
    with pytest.raises(Refusal):
        result_of(line)


@given(JSON)
def test_any_json_is_a_request_or_is_refused(value: object) -> None:
    with suppress(Refusal):
        request_of(json.dumps(value).encode())


@given(JSON)
def test_what_is_answered_is_what_is_understood(value: object) -> None:
    line = answer_line(value)
    assert line.count(b"\n") == 1
    assert result_of(line) == value


@given(st.text(), st.dictionaries(st.text().filter(lambda key: key not in ("do", "version")), JSON))
def test_what_is_asked_is_what_is_heard(do: str, arguments: dict[str, object]) -> None:
    line = request_line(Request(do, arguments))
    assert line.count(b"\n") == 1
    assert request_of(line) == Request(do, arguments)


@given(st.text())
def test_why_not_comes_over_word_for_word(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        result_of(refusal_line(text))
    assert str(caught.value) == text


@pytest.mark.parametrize("version", ["2", '"1"', "null", "[]"])
def test_another_version_is_refused_and_says_what_to_do(version: str) -> None:
    with pytest.raises(Refusal, match="speaks version 1: update knockctl, or restart knockd"):
        request_of(b'{"version": %s, "do": "doors"}' % version.encode())
    with pytest.raises(Refusal, match="speaks another version: restart knockd"):
        result_of(b'{"version": %s, "ok": true, "result": 1}' % version.encode())
    assert VERSION == 1


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_what_is_nested_too_deeply_is_refused(opening: bytes) -> None:
    with pytest.raises(Refusal, match="not JSON"):
        request_of(opening * 100_000)
    with pytest.raises(Refusal, match="not understood"):
        result_of(opening * 100_000)


@pytest.mark.parametrize("line", [b"", b"[]", b"1", b'"doors"', b"{}", b'{"version": 1, "do": 7}'])
def test_what_is_no_request_is_shown_one(line: bytes) -> None:
    with pytest.raises(Refusal):
        request_of(line)


def test_keys_that_are_not_known_are_ignored() -> None:
    assert result_of(b'{"version": 1, "ok": true, "result": 5, "more": {}}') == 5
