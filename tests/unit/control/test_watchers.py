"""Those who watch."""

from __future__ import annotations

import pytest

from pyknockd.control import watchers as watchers_module
from pyknockd.control.watchers import Watchers

ME, OTHER = "192.0.2.1", "192.0.2.2"


def noting(into: list[object]) -> watchers_module.Stream:
    def stream(value: object) -> bool:
        into.append(value)
        return True

    return stream


def test_each_gets_what_he_watches_and_what_is_about_nobody() -> None:
    watchers, all_of_it, mine = Watchers(), list[object](), list[object]()
    assert not watchers
    watchers.add(None, noting(all_of_it))
    watchers.add(ME, noting(mine))
    assert watchers
    watchers.show(ME, 0.0, 1)
    watchers.show(OTHER, 0.0, 2)
    watchers.show("", 0.0, 3)
    assert (all_of_it, mine) == ([1, 2, 3], [1, 3])


def test_who_has_gone_is_forgotten() -> None:
    watchers, shown = Watchers(), list[object]()
    watchers.add(None, lambda value: False)
    watchers.add(None, noting(shown))
    watchers.show(ME, 0.0, 1)
    watchers.show(ME, 0.0, 2)
    assert shown == [1, 2]
    assert len(watchers._all) == 1


def test_of_too_much_in_a_second_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers_module, "MOST_A_SECOND", 3)
    watchers, shown = Watchers(), list[object]()
    watchers.add(None, noting(shown))
    for number in range(10):
        watchers.show(ME, 5.0, number)
    assert shown == [0, 1, 2]
    watchers.show(ME, 6.0, "next")
    left_out = {"event": "left-out", "count": 7, "text": "7 events were left out"}
    assert shown == [0, 1, 2, left_out, "next"]
