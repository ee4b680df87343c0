"""Changes as values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from pyknockd.model import Change, ChangeKind

ONE = Change(1, ChangeKind.OPEN, "ssh", "192.0.2.1", "true", ("true",))


def test_the_same_change_is_the_same_key() -> None:
    assert {ONE: "it"}[replace(ONE)] == "it"


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, opening=2),
        replace(ONE, kind=ChangeKind.CLOSE),
        replace(ONE, source="192.0.2.2"),
        replace(ONE, words=None),
        replace(ONE, look_first=True),
    ],
)
def test_another_change_is_another_key(other: Change) -> None:
    assert other not in {ONE}


def test_a_change_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ONE.door = "http"  # type: ignore[misc]
