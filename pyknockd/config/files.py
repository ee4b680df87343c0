"""The two files of settings, off the disk: knockd.conf and pyknockd.yaml → ``Config``."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyknockd.config.knockd_conf import parse
from pyknockd.model import Config, Extras, Remark, Severity, Step
from pyknockd.proof import onetime
from pyknockd.system.python import advice

MOST_BYTES = 16 << 20


class ConfigError(Exception):
    """The configuration cannot be used; ``lines`` say why, each with its place.

    ``said`` are the lines that knockd prints while it reads, as far as it came.
    """

    def __init__(self, lines: Sequence[str], said: Sequence[str] = ()) -> None:
        super().__init__()
        self.lines = tuple(lines)
        self.said = tuple(said)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration, what knockd prints while it reads it, and warnings with their place."""

    config: Config
    said: tuple[str, ...]
    warnings: tuple[str, ...]


def load(path: str, extras_path: str, *, interface_given: bool, folder: str = "") -> Loaded:
    """Read both files; the second need not be there. Raises ConfigError.

    ``folder`` is where relative paths in them begin; without it, in the current one.
    """

    def first(name: str) -> tuple[Step, ...] | str:
        return first_sequence(os.path.join(folder, name))

    text = _text(path)
    reading = parse(text, interface_given=interface_given, first_sequence=first)
    extras, remarks = _extras(extras_path)
    lines = _lines(reading.remarks, path) + _lines(remarks, extras_path)
    files = (door.one_time_file for door in reading.config.doors if door.one_time_file)
    secrets = {path, *(os.path.join(folder, file) for file in files)}
    lines += [line for secret in sorted(secrets) for line in _exposure(secret)]
    if reading.mistakes or remarks:
        raise ConfigError(lines, reading.said)
    return Loaded(replace(reading.config, extras=extras), reading.said, tuple(lines))


def first_sequence(path: str) -> tuple[Step, ...] | str:
    """What config.parse asks for: the sequence in force in a file, or why there is none."""
    try:
        return onetime.first_sequence(path)
    except onetime.OneTimeError as error:
        return str(error)


def _text(path: str) -> str:
    return _content(path).decode("utf-8", "surrogateescape")


def _extras(path: str) -> tuple[Extras, tuple[Remark, ...]]:
    if not os.path.lexists(path) or path == os.devnull:
        return Extras(), ()
    text = _content(path).decode("utf-8", "replace")
    # Only here: few hosts have the file, and PyYAML is a library of its own.
    try:
        from pyknockd.config import settings as extras
    except ImportError as error:
        raise ConfigError([f"knockd: {path}: {advice(error, 'python3-yaml')}"]) from error
    return extras.parse(text)


def _content(path: str) -> bytes:
    """What is in a plain file. Anything else could be read for ever: ConfigError."""
    try:
        # Without O_NONBLOCK a FIFO would be waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError([f"knockd: cannot read {path}: it is no plain file"])
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"knockd: cannot read {path}: {error.strerror}"]) from error
    if len(content) > MOST_BYTES:
        raise ConfigError([f"knockd: {path} is larger than {MOST_BYTES} bytes"])
    return content


def _exposure(path: str) -> list[str]:
    """Warnings if others than its owner and group may read or change a file of sequences."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    warnings = []
    if status.st_mode & stat.S_IROTH:
        warnings.append(f"{path}: warning: everybody can read the sequences; try: chmod o-r {path}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid not in (0, os.geteuid()):
        warnings.append(
            f"{path}: warning: others can change what root runs; try: chmod go-w {path}"
        )
    return warnings


def _lines(remarks: Sequence[Remark], path: str) -> list[str]:
    marks = {Severity.MISTAKE: "", Severity.WARNING: "warning: "}
    return [f"{path}:{one.line}: {marks[one.severity]}{one.text}" for one in remarks]
