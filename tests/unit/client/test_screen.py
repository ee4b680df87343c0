"""Results, as they are shown."""

from __future__ import annotations

import json

from pyknockd.client.errands import Result, Seen
from pyknockd.client.screen import as_json, result_text, table

DEAD = Result("home", "h", Seen.REFUSED, 3, 4.25, "22")


def test_what_was_seen_is_said() -> None:
    assert result_text(DEAD) == "h, port 22: refused after 3 knocks and 4.2 s"
    assert "home  h        refused  3       4.2" in table([DEAD])
    assert json.loads(as_json([DEAD]))[0]["status"] == 3
