"""Text that can be shown."""

from __future__ import annotations

import pytest

from pyknockd.system.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünd «more» 門", "plain, ünd «more» 門"),
        ("a\x1b[31m\0\n\tb", r"a\x1b[31m\x00\n\tb"),
        ("\ud800 \u202e", r"\ud800 \u202e"),
    ],
)
def test_what_is_not_to_be_seen_is_shown_by_its_number(text: str, shown: str) -> None:
    assert printable(text) == shown
