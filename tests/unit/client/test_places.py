"""Where hosts.yaml is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyknockd.client.places import hosts_files


def test_xdg_config_home_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "knock/hosts.yaml"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert hosts_files()[0] == path
