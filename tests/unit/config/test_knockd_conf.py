"""knockd.conf → doors, or every mistake with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.config.knockd_conf import canonical, parse


@given(st.one_of(st.text(), st.text(alphabet="[]=#,:! \n\taoptionsequence0123456789")))
def test_any_text_at_all_is_a_config_or_mistakes_with_lines(text: str) -> None:
    reading = parse(text)
    assert all(1 <= remark.line <= text.count("\n") + 1 for remark in reading.remarks)
    assert reading.mistakes or all(door.steps for door in reading.config.doors)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2001:DB8:0::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::FFFF:192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
def test_an_address_has_one_text(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    "text", ["", "localhost", "192.0.2", "1.2.3.4 or 5.6.7.8", "fe80::1%eth0", "\0"]
)
def test_what_is_no_address_has_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|names an interface"):
        canonical(text)
