"""Who of several daemons does a thing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyknockd.system.claim import Claim, ClaimedError, Holder, holder


def test_a_claim_that_is_held_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    held = Claim(path, "mine\nd\udcfcr")
    with pytest.raises(ClaimedError) as error:
        Claim(path, "another's")
    assert error.value.holder == Holder(os.getpid(), "mine\nd\udcfcr")
    held.close()
    again = Claim(path, "another's")
    assert holder(path) == Holder(os.getpid(), "another's")
    again.close()


def test_who_held_it_last_can_be_read(tmp_path: Path) -> None:
    Claim(tmp_path / "claim", "mine").close()
    assert holder(tmp_path / "claim") == Holder(os.getpid(), "mine")


def test_nobody_but_its_owner_can_lock_it(tmp_path: Path) -> None:
    Claim(tmp_path / "claim", "mine").close()
    assert (tmp_path / "claim").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "no number\nabout", "\xff"])
def test_what_says_nobody_is_nobodys(tmp_path: Path, text: str) -> None:
    (tmp_path / "claim").write_text(text)
    assert holder(tmp_path / "claim") is None
    assert holder(tmp_path / "nothing") is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "claim").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Too many levels"):
        Claim(tmp_path / "claim", "mine")
    assert not (tmp_path / "elsewhere").exists()
