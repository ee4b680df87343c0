"""The client's copy of a one-time file."""

from __future__ import annotations

from pathlib import Path

from pyknockd.client.onetime import next_one_time, use_one_time, words


def test_a_used_sequence_is_marked_and_the_next_one_holds(tmp_path: Path) -> None:
    path = tmp_path / "once"
    path.write_text("1,2:udp\n3,4\n")
    path.chmod(0o600)
    use_one_time(str(path), next_one_time(str(path)))
    assert path.read_text() == "#,2:udp\n3,4\n"
    assert words(next_one_time(str(path)).steps) == ("3", "4")
