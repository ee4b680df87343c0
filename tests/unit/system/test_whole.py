from __future__ import annotations

from pathlib import Path

import pytest

from pyknockd.system.whole import replace_whole


@pytest.mark.parametrize("lasting", [False, True])
def test_what_is_there_is_replaced_with_the_mode_that_is_given(
    tmp_path: Path, lasting: bool
) -> None:
    path = tmp_path / "file"
    path.write_text("old, and longer than the new")
    path.chmod(0o666)
    replace_whole(str(path), b"new", 0o644, lasting=lasting)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_somebody_has_put_beside_it_is_not_followed(tmp_path: Path) -> None:
    path, victim = tmp_path / "file", tmp_path / "victim"
    victim.write_text("not to be touched")
    (tmp_path / "file.new").symlink_to(victim)
    replace_whole(str(path), b"new", 0o600)
    assert (path.read_bytes(), victim.read_text()) == (b"new", "not to be touched")


def test_where_it_cannot_be_put_there_what_was_stays_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "in it").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        replace_whole(str(path), b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]
