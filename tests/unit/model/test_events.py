"""The union of all events."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from typing import get_args

import pytest

from pyknockd.model import events

ALL = get_args(events.Event)


def test_every_event_stands_in_the_union() -> None:
    made = {
        value
        for _, value in inspect.getmembers(events, inspect.isclass)
        if is_dataclass(value) and value.__module__ == events.__name__
    }
    assert made == set(ALL)


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.__name__)
def test_an_event_is_a_frozen_value_that_begins_with_its_time(event: type) -> None:
    assert event.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(event)
    first = fields(event)[0]
    assert (first.name, first.type) == ("time", "float")
