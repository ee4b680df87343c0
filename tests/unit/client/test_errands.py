"""What came of an errand, as a status."""

from __future__ import annotations

from pyknockd.client.errands import Result, Seen


def test_a_status_says_whether_one_is_in() -> None:
    seen = {Seen.SENT: 0, Seen.OPEN: 0, Seen.FAILED: 1, Seen.SILENT: 3, Seen.UNRESOLVED: 3}
    assert {one: Result("n", "h", one, 1, 0.0).status for one in seen} == seen
