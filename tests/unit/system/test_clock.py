"""The loop's clock and the wall's."""

from __future__ import annotations

import re
import time

from pyknockd.system.clock import shown, wall

DAY = 86_400.0


def test_now_is_now_on_both() -> None:
    assert abs(wall(time.monotonic()) - time.time()) < 1.0


def test_so_much_later_is_so_much_later_on_both() -> None:
    now = time.monotonic()
    assert abs(wall(now + 3600) - wall(now) - 3600) < 1.0


def test_another_day_is_told_with_its_date() -> None:
    now = time.monotonic()
    assert re.fullmatch(r"\d\d:\d\d", shown(now))
    later = time.strftime("%Y-%m-%d", time.localtime(time.time() + 2 * DAY))
    assert shown(now + 2 * DAY).startswith(f"{later} ")


def test_a_time_many_years_away_can_be_shown() -> None:
    assert shown(time.monotonic() + 36_500 * DAY)
