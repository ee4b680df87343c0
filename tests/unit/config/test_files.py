"""The two files, off the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyknockd.config.files import MOST_BYTES, MOST_SETTINGS_BYTES, ConfigError, Loaded, load
from pyknockd.model import Limits
from tests.support.doors import GOOD


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "knockd.conf"
    path.write_text(GOOD)
    path.chmod(0o640)
    return path


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    return tmp_path / "pyknockd.yaml"


def loaded(conf: Path, yaml: Path) -> Loaded:
    return load(str(conf), str(yaml), interface_given=False)


def refused(conf: Path, yaml: Path) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        loaded(conf, yaml)
    return error.value


def test_both_files_make_one_configuration(conf: Path, yaml: Path) -> None:
    yaml.write_text("limits:\n  commands: 8\n")
    found = loaded(conf, yaml)
    assert [door.name for door in found.config.doors] == ["ssh"]
    assert found.config.extras.limits == Limits(commands=8)
    assert found.warnings == ()
    assert "config: new section: 'ssh'" in found.said


def test_the_settings_need_not_be_there(conf: Path, yaml: Path) -> None:
    assert loaded(conf, yaml) == loaded(conf, Path(os.devnull))
    yaml.symlink_to("nowhere")
    assert refused(conf, yaml).lines == (f"knockd: cannot read {yaml}: No such file or directory",)


def test_the_mistakes_of_both_files_are_told_at_once(conf: Path, yaml: Path) -> None:
    conf.write_text(GOOD.replace("tcpflags", "tcpflag"))
    yaml.write_text("\ntimer: keep\n")
    error = refused(conf, yaml)
    places = [line.split(": ")[0] for line in error.lines]
    assert places == [f"{conf}:5", f"{yaml}:2"]
    assert error.said[0] == "config: new section: 'options'"


def test_bytes_that_are_no_text_are_kept_as_they_are(conf: Path, yaml: Path) -> None:
    conf.write_bytes(b"[d\xfcr]\nsequence = 1\ncommand = true\n")
    (door,) = loaded(conf, yaml).config.doors
    assert os.fsencode(door.name) == b"d\xfcr"


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (0o600, []),
        (0o640, []),
        (0o644, ["o-r"]),
        (0o660, ["go-w"]),
        (0o602, ["go-w"]),
        (0o666, ["o-r", "go-w"]),
    ],
)
def test_a_file_that_is_too_open_is_a_warning(
    conf: Path, yaml: Path, mode: int, told: list[str]
) -> None:
    conf.chmod(mode)
    found = loaded(conf, yaml).warnings
    assert [line.rsplit("chmod ")[1] for line in found] == [f"{what} {conf}" for what in told]


def test_so_is_a_file_of_one_time_sequences(conf: Path, yaml: Path, tmp_path: Path) -> None:
    once = tmp_path / "sequences"
    once.write_text("7001,7002\n")
    once.chmod(0o604)
    conf.write_text(f"[d]\none_time_sequences = {once}\ncommand = true\n")
    assert loaded(conf, yaml).warnings == (
        f"{once}: warning: everybody can read the sequences; try: chmod o-r {once}",
    )
    once.unlink()
    assert any(str(once) in line for line in refused(conf, yaml).lines)


def test_what_is_no_plain_file_is_not_read(conf: Path, yaml: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, Path("/dev/zero")):
        (line,) = refused(path, yaml).lines
        assert line.startswith(f"knockd: cannot read {path}: ")
    (line,) = refused(conf, fifo).lines
    assert line == f"knockd: cannot read {fifo}: it is no plain file"


def test_every_complaint_can_be_shown_whatever_the_files_hold(conf: Path, yaml: Path) -> None:
    conf.write_bytes(b"[a\x1b]0;title\x07]\n\xff\x9b31m = 1\nTarget = \x1b[2J\n")
    yaml.write_bytes(b'interfaces: "\\ud800\xff"\n')
    lines = refused(conf, yaml).lines
    assert len(lines) > 3
    assert all(line.isprintable() for line in lines)


def test_settings_are_never_so_long_that_reading_takes_its_time(conf: Path, yaml: Path) -> None:
    yaml.write_text("#" * (MOST_SETTINGS_BYTES + 1))
    said = f"knockd: {yaml} is larger than {MOST_SETTINGS_BYTES} bytes"
    assert refused(conf, yaml).lines == (said,)


def test_what_is_too_large_is_not_read(conf: Path, yaml: Path) -> None:
    with conf.open("r+") as file:
        file.truncate(MOST_BYTES + 1)
    assert refused(conf, yaml).lines == (f"knockd: {conf} is larger than {MOST_BYTES} bytes",)
