"""fwknop's access.conf: text → ``Access``es, or every mistake in it with its file and line.

Reads the files that fwknopd reads, but for what would let in more than its author may think: there is
no access without an HMAC key, and none without OPEN_PORTS, but where a command is run that the port
does not matter to. What fwknopd would pass over, a name that it does not know or lines before the first
SOURCE, is a mistake: it may have been meant to keep somebody out. Keys are in no message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Protocol

from pyknockd.config.access_stanza import Draft, finish
from pyknockd.config.access_values import VALUES, ValueMistakeError, is_yes
from pyknockd.model import Remark, Severity
from pyknockd.model.access import Access

_LINE_BYTES = 1_023  # what fwknopd has room for
_MOST_DEPTH = 3  # files that name files
_MOST_FILES = 1_000
_BLANKS = " \t\r"
_LINE = re.compile(r"[ \t]*([^ \t:]*)[ \t]*:?(.*)", re.DOTALL)
_KEY_NAMES = frozenset(
    (
        *("KEY", "KEY_BASE64", "HMAC_KEY", "HMAC_KEY_BASE64"),
        *("GPG_DECRYPT_ID", "GPG_DECRYPT_PW", "GPG_ALLOW_NO_PW"),
    )
)
# Without use here, and without harm.
_COMMAND_NAMES = {
    *("CMD_EXEC_USER", "CMD_EXEC_GROUP", "CMD_SUDO_EXEC_USER", "CMD_SUDO_EXEC_GROUP", "SUDO_EXE"),
}
_COMMAND_FLAGS = {"ENABLE_CMD_EXEC", "ENABLE_CMD_SUDO_EXEC"}
_UNSUPPORTED_FLAGS = {"FORCE_MASQUERADE", "FORWARD_ALL", "DISABLE_DNAT"}
_UNSUPPORTED = {"FORCE_SNAT"}
_GPG = {
    *("GPG_DECRYPT_ID", "GPG_DECRYPT_PW", "GPG_ALLOW_NO_PW", "GPG_REQUIRE_SIG", "GPG_DISABLE_SIG"),
    *("GPG_IGNORE_SIG_VERIFY_ERROR", "GPG_REMOTE_ID", "GPG_FINGERPRINT_ID", "GPG_HOME_DIR"),
    "GPG_EXE",
}
_NAMES = (
    *VALUES,
    *sorted(_COMMAND_NAMES | _COMMAND_FLAGS | _UNSUPPORTED_FLAGS | _UNSUPPORTED | _GPG),
)


class Files(Protocol):
    """The files that a file names, as whoever reads the disk sees them. Both raise OSError."""

    def text(self, path: str) -> str: ...

    def configurations(self, folder: str) -> tuple[str, ...]:
        """The paths of the files in ``folder`` that end in .conf, in their order."""


@dataclass(frozen=True, slots=True)
class Place:
    """A remark, and the file that it is about."""

    path: str
    remark: Remark


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading: ``accesses`` are usable if no remark is a mistake."""

    accesses: tuple[Access, ...]
    remarks: tuple[Place, ...]

    @property
    def mistakes(self) -> tuple[Place, ...]:
        return tuple(p for p in self.remarks if p.remark.severity is Severity.MISTAKE)


@dataclass(slots=True)
class _Reader:
    files: Files
    path: str
    line: int = 0
    depth: int = 0
    read: int = 0
    keys_only: bool = False
    draft: Draft | None = None
    accesses: list[Access] = field(default_factory=list)
    remarks: list[Place] = field(default_factory=list)

    def mistake(self, text: str, line: int | None = None) -> None:
        self._add(Severity.MISTAKE, text, line)

    def warn(self, text: str, line: int | None = None) -> None:
        self._add(Severity.WARNING, text, line)

    def _add(self, severity: Severity, text: str, line: int | None) -> None:
        number = self.line if line is None else line
        self.remarks.append(Place(self.path, Remark(severity, number, text)))

    def end_stanza(self) -> None:
        """What stands behind here belongs to no stanza."""
        draft, self.draft = self.draft, None
        if draft is None:
            return
        access = finish(draft)
        for text in draft.mistakes:
            self.mistake(text, draft.line)
        for text in draft.warnings:
            self.warn(text, draft.line)
        if access is not None:
            self.accesses.append(access)


def parse(text: str, path: str, files: Files) -> Reading:
    """Read the whole of ``text``, which is what is in ``path``, and what it includes."""
    reader = _Reader(files, path)
    _read(reader, text)
    if not reader.accesses and not reader.remarks:
        reader.warn("there is no SOURCE in this file: nobody can ask for anything", 1)
    _warn_of_order(reader)
    return Reading(tuple(reader.accesses), tuple(reader.remarks))


def _read(reader: _Reader, text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        reader.line = number
        if line[:1] in ("#", ";") or not line.strip(_BLANKS):
            continue
        if len(line.encode("utf-8", "surrogateescape")) > _LINE_BYTES or "\0" in line:
            reader.mistake(f"expected a line of at most {_LINE_BYTES} bytes, without zero bytes")
            continue
        name, value = _split(line)
        if not value:
            reader.mistake(f"expected NAME VALUE, found {_shown(name)} without a value")
        elif name.startswith("%"):
            _include(reader, name, value)
        else:
            _set(reader, name, value)
    if not reader.keys_only:
        reader.end_stanza()


def _split(line: str) -> tuple[str, str]:
    """NAME VALUE, NAME: VALUE or NAME:VALUE, whose value ends at a semicolon."""
    found = _LINE.match(line)
    name, value = (found[1], found[2]) if found else ("", "")
    return name, value.partition(";")[0].strip(_BLANKS)


def _set(reader: _Reader, name: str, value: str) -> None:
    if reader.keys_only and name not in _KEY_NAMES:
        reader.mistake(f"expected only keys in this file, found {_shown(name)}")
    elif name == "SOURCE":
        reader.end_stanza()
        reader.draft = Draft(f"{reader.path}:{reader.line}", reader.line)
        _apply(reader, reader.draft, name, value)
    elif name not in _NAMES:
        near = get_close_matches(name, _NAMES, n=1, cutoff=0.7)
        hint = f"{name} in access.conf; did you mean {near[0]}?" if near else "such name"
        reader.mistake(f"there is no {hint}")
    elif reader.draft is None:
        reader.mistake(f"{name} belongs to no SOURCE: one must stand before it, in this file")
    else:
        _apply(reader, reader.draft, name, value)


def _apply(reader: _Reader, draft: Draft, name: str, value: str) -> None:
    if name in draft.seen:
        reader.mistake(f"{name} is there twice for one SOURCE")
        return
    draft.seen.add(name)
    if name in VALUES:
        try:
            VALUES[name](draft, value)
        except ValueMistakeError as error:
            draft.failed.add(name)
            reader.mistake(f"{name}: {error}")
    elif name in _GPG:
        draft.failed.add(name)
        reader.mistake(f"{name}: packets encrypted with GnuPG are not supported")
    elif name in _UNSUPPORTED or (name in _UNSUPPORTED_FLAGS and is_yes(value)):
        reader.mistake(f"{name} is not supported: rules are made by commands here")
    elif name in _COMMAND_FLAGS and is_yes(value):
        reader.warn(f"{name}: commands in packets are refused, whoever sends them")


def _include(reader: _Reader, name: str, value: str) -> None:
    if reader.keys_only:
        reader.mistake(f"expected only keys in this file, found {_shown(name)}")
    elif name == "%include_keys":
        if reader.draft is None:
            reader.mistake("%include_keys belongs to no SOURCE: one must stand before it")
        else:
            _within(reader, value, keys_only=True)
    elif name == "%include":
        reader.end_stanza()
        _within(reader, value)
    elif name == "%include_folder":
        reader.end_stanza()
        try:
            paths = reader.files.configurations(value)
        except OSError as error:
            reader.mistake(f"cannot read {value}: {error.strerror}")
            return
        for path in paths:
            _within(reader, path)
    else:
        reader.mistake(f"expected %include, %include_folder or %include_keys, found {_shown(name)}")


def _within(reader: _Reader, path: str, *, keys_only: bool = False) -> None:
    """Read ``path``, and go on where we were."""
    if reader.depth == _MOST_DEPTH or reader.read == _MOST_FILES:
        reader.mistake(
            f"{path} is not read: expected files included {_MOST_DEPTH} deep at most,"
            f" and {_MOST_FILES} in all"
        )
        return
    try:
        text = reader.files.text(path)
    except OSError as error:
        reader.mistake(f"cannot read {path}: {error.strerror}")
        return
    outer_path, outer_line = reader.path, reader.line
    reader.path, reader.keys_only = path, keys_only
    reader.depth += 1
    reader.read += 1
    _read(reader, text)
    reader.path, reader.line, reader.keys_only = outer_path, outer_line, False
    reader.depth -= 1


def _warn_of_order(reader: _Reader) -> None:
    """Two accesses with the same keys: of the first that says yes the second never hears."""
    for later, access in enumerate(reader.accesses):
        for first in reader.accesses[:later]:
            if first.keys == access.keys and not first.sources and access.sources:
                path, _, line = access.name.rpartition(":")
                remark = Remark(
                    Severity.WARNING,
                    int(line),
                    f"SOURCE ANY stands before this one, with the same keys ({first.name})",
                )
                reader.remarks.append(Place(path, remark))


def _shown(name: str) -> str:
    """``name`` if it is nearly one: anything else may be part of a key."""
    return name if get_close_matches(name, _NAMES, n=1, cutoff=0.7) else "something else"
