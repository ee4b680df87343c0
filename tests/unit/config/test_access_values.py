"""What a whole stanza comes to."""

from __future__ import annotations

import pytest

from pyknockd.config.access_values import VALUES, Draft, ValueMistakeError, finish, is_yes
from tests.support.spa import SSH


def draft(**values: str) -> Draft:
    made = Draft("access.conf:1", 1)
    for name, value in values.items():
        made.seen.add(name)
        VALUES[name](made, value)
    return made


def test_a_stanza_that_is_whole_is_an_access() -> None:
    made = draft(KEY="a key of sixteen octets", HMAC_KEY="another of sixteen", OPEN_PORTS="tcp/22")
    access = finish(made)
    assert access is not None and access.open_ports == (SSH,)
    assert (made.mistakes, made.warnings) == ([], [])


def test_every_thing_that_is_missing_is_named_at_once() -> None:
    made = draft()
    assert finish(made) is None
    assert len(made.mistakes) == 3


def test_zero_seconds_are_the_default() -> None:
    assert draft(FW_ACCESS_TIMEOUT="0").open_for == 30


def test_a_mistake_says_nothing_of_a_key() -> None:
    for name in ("KEY_BASE64", "HMAC_KEY_BASE64"):
        with pytest.raises(ValueMistakeError) as error:
            draft(**{name: "hunter2!"})
        assert "hunter" not in str(error.value) and error.value.__suppress_context__


def test_what_begins_with_y_is_yes() -> None:
    assert is_yes("Y") and is_yes("yes") and not is_yes("N") and not is_yes("1")
