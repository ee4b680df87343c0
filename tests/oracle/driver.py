"""The real knockd 0.8, unmodified, in virtual time: what it hears, says and runs, as values.

``preload.c`` gives it packets from a file instead of an interface, addresses from a list, the
packets' time as the clock, and writes its commands down instead of running them. Nothing needs
root, an interface or a namespace, and nothing outside a temporary directory is written (a log
or pid file that a configuration names elsewhere becomes /dev/null). A scenario takes 6 to 10 ms
and 1 ms more for each opening that has a command.

Facts that whoever compares with it needs, each measured (2024-01, Debian's knockd 0.8-2):

* A packet that knockd's own kernel filter drops never reaches it: ``Outcome.heard`` tells which
  did. The filter is knockd's text, compiled by libpcap and run here over each frame.
* knockd's clock is the packet's timestamp in whole seconds, rounded down.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..realknockd import debian_knockd

INTERFACE = "eth0"
ADDRESSES = ("192.0.2.1", "2001:db8::1")
ETHERNET, RAW, COOKED = 1, 12, 113
"""libpcap's numbers (DLT_...) of the link types that knockd knows."""

_RECORD = re.compile("\x1e(\\w+) ?([^\x1f]*)\x1f")
_OPENING = re.compile(r"(\S+?)(?: \([^)]*\))?: (.*): OPEN SESAME")


@dataclass(frozen=True, slots=True)
class Packet:
    """A link-layer ``frame`` that arrives at ``time``, in seconds since the epoch."""

    time: float
    frame: bytes


@dataclass(frozen=True, slots=True)
class Network:
    """The interface that knockd finds; ``link_type`` is libpcap's number of it."""

    addresses: Sequence[str] = ADDRESSES
    interface: str = INTERFACE
    link_type: int = ETHERNET


@dataclass(frozen=True, slots=True)
class Entry:
    """Something knockd did: ``packet`` is the index of the packet that made it, -1 before any.

    ``kind`` is ``stdout`` (one line of its own), ``syslog``, ``system`` (a command it ran),
    ``sleep`` (seconds it waited for before the next command), ``open`` (snapshot length,
    promiscuous, milliseconds, interface of the capture) or ``daemon``.
    """

    packet: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Opening:
    """``door`` opened for ``source`` by the packet of this index."""

    packet: int
    door: str
    source: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """All of a run, in the order in which it happened. ``heard`` are indices of packets.

    ``status`` is the exit status, negative for a signal. ``listened`` says whether knockd got as
    far as waiting for packets, ``accepted`` whether it took the configuration file.
    """

    entries: tuple[Entry, ...]
    heard: frozenset[int]
    stderr: str
    status: int
    listened: bool

    def texts(self, kind: str) -> list[str]:
        """What ``entries`` of this kind say."""
        return [entry.text for entry in self.entries if entry.kind == kind]

    @property
    def stdout(self) -> list[str]:
        """What knockd printed itself, in lines."""
        return self.texts("stdout")

    @property
    def syslog(self) -> list[str]:
        """What knockd told syslog; some of it ends in a line feed."""
        return self.texts("syslog")

    @property
    def commands(self) -> list[str]:
        """What it gave to ``system()``."""
        return self.texts("system")

    @property
    def accepted(self) -> bool:
        """Whether it read the file to its end and went on to the interface."""
        return bool(self.texts("open"))

    @property
    def openings(self) -> list[Opening]:
        """Every door that opened, whether it has a command or not."""
        return list(_openings(self.entries))


def run(
    config: str | bytes,
    packets: Iterable[Packet] = (),
    *,
    options: Sequence[str] = ("-v",),
    network: Network = Network(),
    files: Path | None = None,
) -> Outcome:
    """Let knockd read ``config`` and then see ``packets``, one after the other, and end.

    ``options`` are knockd's; without ``-v`` no openings are seen, with ``-D`` there are more
    lines. ``%DIR%`` in the file is replaced by ``files``, a directory that knockd may write in
    (a log file, a one-time sequence file); without it, a temporary one that is gone afterwards.
    A command that contains ``#status=N`` ends with N as wait() would report it.
    """
    with tempfile.TemporaryDirectory(prefix="oracle-") as temporary:
        directory = files or Path(temporary)
        text = config if isinstance(config, bytes) else config.encode(errors="surrogateescape")
        path = Path(temporary, "knockd.conf")
        path.write_bytes(text.replace(b"%DIR%", os.fsencode(directory)))
        stream = b"".join(map(_packed, packets))
        Path(temporary, "packets").write_bytes(stream)
        environment = {
            "LD_PRELOAD": str(_library()),
            "ORACLE_PACKETS": str(Path(temporary, "packets")),
            "ORACLE_SIZE": str(len(stream)),
            "ORACLE_ADDRESSES": ",".join(network.addresses),
            "ORACLE_INTERFACE": network.interface,
            "ORACLE_LINKTYPE": str(network.link_type),
            "ORACLE_DIRECTORY": f"{directory}/",
            "TZ": "UTC",
        }
        done = subprocess.run(
            [_program(), "-c", path, *options],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        )  # fmt: skip
    return _outcome(done)


def read_config(text: str | bytes) -> Outcome:
    """What ``knockd -D`` makes of a configuration file: see ``accepted``, ``stdout``, ``stderr``.

    The lines about the interface and the filter, which come after the file's own, are there too
    if the file was accepted; ``status`` is 0 and ``listened`` true if the filter was good as well.
    """
    return run(text, options=("-D",))


def _packed(packet: Packet) -> bytes:
    microseconds = round(packet.time * 1_000_000)
    head = struct.pack("=qiI", *divmod(microseconds, 1_000_000), len(packet.frame))
    return head + packet.frame


def _outcome(done: subprocess.CompletedProcess[bytes]) -> Outcome:
    entries: list[Entry] = []
    heard = set()
    packet = -1
    listened = False
    pieces = _RECORD.split(done.stdout.decode(errors="surrogateescape"))
    for own, kind, text in zip(pieces[0::3], [*pieces[1::3], "end"], [*pieces[2::3], ""]):
        lines = own.removesuffix("\n").split("\n") if own else []
        entries.extend(Entry(packet, "stdout", line) for line in lines)
        if kind == "packet":
            packet, passed = map(int, text.split())
            heard |= {packet} if passed else set()
        elif kind != "end":
            entries.append(Entry(packet, kind, text))
    listened = "\x1eend\x1f".encode() in done.stdout
    return Outcome(
        entries=tuple(entries),
        heard=frozenset(heard),
        stderr=done.stderr.decode(errors="surrogateescape"),
        status=done.returncode,
        listened=listened,
    )


def _openings(entries: Iterable[Entry]) -> Iterable[Opening]:
    for entry in entries:
        found = _OPENING.fullmatch(entry.text) if entry.kind == "stdout" else None
        if found:
            yield Opening(entry.packet, door=found[2], source=found[1])


@cache
def _library() -> Path:
    """The compiled preload library, kept in the cache under the source's hash."""
    source = Path(__file__).with_name("preload.c")
    name = f"oracle-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.so"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = cache / "pyknockd" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", partial, source, "-ldl"], check=True)
        partial.rename(target)
    return target


@cache
def _program() -> Path:
    return debian_knockd() / "usr/sbin/knockd"
