"""Whose hosts.yaml is trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyknockd.client.errands import ClientError
from pyknockd.client.files import members, read_hosts

TEXT = "hosts:\n  a: {address: h, sequence: 7000}\n  b: {address: i, sequence: 7000}\ngroups: {g: [a, b]}\n"


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yaml"
    path.write_text(TEXT)
    path.chmod(0o620)
    with pytest.raises(ClientError, match="others may write it"):
        read_hosts([path])


def test_a_group_stands_for_its_hosts_each_once(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yaml"
    path.write_text(TEXT)
    path.chmod(0o600)
    found = members(read_hosts([path]), ("@g", "a"))
    assert [host.errand.name for host in found] == ["a", "b"]
