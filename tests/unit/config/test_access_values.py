"""What each value says."""

from __future__ import annotations

import pytest

from pyknockd.config.access_stanza import Draft
from pyknockd.config.access_values import VALUES, ValueMistakeError, is_yes


def draft(**values: str) -> Draft:
    made = Draft("access.conf:1", 1)
    for name, value in values.items():
        made.seen.add(name)
        VALUES[name](made, value)
    return made


def test_zero_seconds_are_the_default() -> None:
    assert draft(FW_ACCESS_TIMEOUT="0").open_for == 30


def test_a_mistake_says_nothing_of_a_key() -> None:
    for name in ("KEY_BASE64", "HMAC_KEY_BASE64"):
        with pytest.raises(ValueMistakeError) as error:
            draft(**{name: "hunter2!"})
        assert "hunter" not in str(error.value) and error.value.__suppress_context__


def test_what_begins_with_y_is_yes() -> None:
    assert is_yes("Y") and is_yes("yes") and not is_yes("N") and not is_yes("1")
