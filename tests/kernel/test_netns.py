"""Throw-away namespaces are thrown away, whatever happens."""

from __future__ import annotations

import os

import pytest

from pyknockd.system.netns import Namespace
from pyknockd.system.process import CommandError, output
from tests.support.lab import Lab


def test_a_namespace_that_cannot_be_set_up_is_not_left_behind(
    hosts: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a chroot, where ip can make one but not enter it."""

    def refuse(self: Namespace, *words: str) -> str:
        raise CommandError("mount --make-rslave / failed", 1)

    monkeypatch.setattr(Namespace, "ip", refuse)
    name = f"pk{os.getpid()}-half"
    with pytest.raises(CommandError, match="make-rslave"):
        Namespace(name)
    assert name not in output(["ip", "netns", "list"])
