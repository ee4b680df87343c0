"""Openings as they are remembered."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict

import pytest

from pyknockd.model import Past, Question


def test_the_past_is_what_json_knows_and_does_not_change() -> None:
    past = Past("ssh", "192.0.2.7", 1.0, 2.0, "closed", "time", 0, 0)
    assert Past(**json.loads(json.dumps(asdict(past)))) == past
    with pytest.raises(FrozenInstanceError):
        past.closed = None  # type: ignore[misc]


def test_one_question_is_another_s_equal() -> None:
    assert Question(None, "ssh", None, 5) == Question(None, "ssh", None, 5)
