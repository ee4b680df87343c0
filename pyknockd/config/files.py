"""The two files of settings, off the disk: knockd.conf and pyknockd.yaml → ``Config``."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from pyknockd.config.joined import joined
from pyknockd.config.knockd_conf import parse
from pyknockd.model import Config, Extras, InForce, Remark, Severity
from pyknockd.proof import onetime
from pyknockd.system.python import advice
from pyknockd.system.text import printable

MOST_BYTES = 16 << 20
MOST_SETTINGS_BYTES = 64 << 10  # it is read slowly, and need not be long


class ConfigError(Exception):
    """The configuration cannot be used; ``lines`` say why, each with its place.

    ``mistakes`` are those of the lines that are more than a warning. ``said`` are the lines that
    knockd prints while it reads, as far as it came. ``extras`` are the settings, if they can be used.
    """

    def __init__(
        self, lines: Sequence[str], mistakes: Sequence[str] = (), said: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.lines = tuple(lines)
        self.mistakes = tuple(mistakes) or self.lines
        self.said = tuple(said)
        self.extras: Extras | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration, what knockd prints while it reads it, and warnings with their place.

    ``content`` and ``settings_content`` are what the two files hold.
    """

    config: Config
    said: tuple[str, ...]
    warnings: tuple[str, ...]
    content: bytes
    settings_content: bytes


def load(
    path: str,
    extras_path: str,
    *,
    interface_given: bool,
    to_be_used: bool = True,
    folder: str = "",
) -> Loaded:
    """Read both files; the second need not be there. Raises ConfigError.

    ``to_be_used``: so will be one-time sequences, whose files therefore must be writable. ``folder`` is
    where relative paths begin; without it, in the current one.
    """
    first = partial(_first_in, folder, to_be_used)
    settings_content = _settings_content(os.path.join(folder, extras_path))
    extras, remarks = _extras(extras_path, settings_content)
    has_extras = not remarks
    try:
        content = _content(os.path.join(folder, path))
        reading = parse(
            content.decode("utf-8", "surrogateescape"),
            interface_given=interface_given,
            first_sequence=first,
            spoken_of={door.name for door in extras.doors},
        )
        together = joined(reading.config.doors, extras.doors, first)
        remarks = (*remarks, *together.remarks)
        lines = _lines(reading.remarks, path) + _lines(remarks, extras_path)
        secrets = {path, *(d.one_time_file for d in together.doors if d.one_time_file)}
        lines += [line for secret in sorted(secrets) for line in _exposure(secret, folder)]
        mistakes = _lines(reading.mistakes, path) + _lines(_mistakes(remarks), extras_path)
        if mistakes:
            raise ConfigError(_printable(lines), _printable(mistakes), reading.said)
    except ConfigError as error:
        error.extras = extras if has_extras else None
        raise
    config = replace(reading.config, doors=together.doors, extras=extras)
    return Loaded(config, reading.said, _printable(lines), content, settings_content)


def _first_in(folder: str, to_be_used: bool, name: str) -> InForce | str:
    return first_sequence(os.path.join(folder, name), to_be_used=to_be_used)


def _mistakes(remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    return tuple(one for one in remarks if one.severity is Severity.MISTAKE)


def _printable(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(printable(line) for line in lines)


def first_sequence(path: str, *, to_be_used: bool = True) -> InForce | str:
    """What config.parse asks for: the sequence in force in a file, or why there is none."""
    try:
        return onetime.first_sequence(path, to_be_used=to_be_used)
    except onetime.OneTimeError as error:
        return str(error)


def _settings_content(path: str) -> bytes:
    if not os.path.lexists(path) or path == os.devnull:
        return b""
    return _content(path, MOST_SETTINGS_BYTES)


def _extras(path: str, content: bytes) -> tuple[Extras, tuple[Remark, ...]]:
    if not content:
        return Extras(), ()
    text = content.decode("utf-8", "replace")
    # Only here: few hosts have the file, and PyYAML is a library of its own.
    try:
        from pyknockd.config import settings as extras
    except ImportError as error:
        raise ConfigError([f"knockd: {path}: {advice(error, 'python3-yaml')}"]) from error
    return extras.parse(text)


def _content(path: str, most: int = MOST_BYTES) -> bytes:
    """What is in a plain file. Anything else could be read for ever: ConfigError."""
    try:
        # Without O_NONBLOCK a FIFO would be waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError([f"knockd: cannot read {path}: it is no plain file"])
            content = file.read(most + 1)
    except OSError as error:
        raise ConfigError([f"knockd: cannot read {path}: {error.strerror}"]) from error
    if len(content) > most:
        raise ConfigError([f"knockd: {path} is larger than {most} bytes"])
    return content


def _exposure(path: str, folder: str) -> list[str]:
    """Warnings if others than its owner and group may read or change a file of sequences."""
    try:
        status = os.stat(os.path.join(folder, path))
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
