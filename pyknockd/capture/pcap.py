"""A capture file → recorded frames: pcap and pcapng, plain or compressed by gzip, also as it is written.

scapy's raw readers find the packets of a pcap file and the blocks of a pcapng one; nothing is
dissected. What is in the blocks is read in blocks.py: Debian 12's scapy names no interface.
"""

from __future__ import annotations

import gzip
import io
import logging
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from pyknockd.capture.blocks import (
    INTERFACE,
    OLD_PACKET,
    PACKET,
    SIMPLE_PACKET,
    BlockError,
    Blocks,
)
from pyknockd.capture.errors import CaptureError
from pyknockd.capture.linktypes import KNOWN, is_known, medium_of, recorded
from pyknockd.capture.playback import Recorded

STANDARD_INPUT = "-"
MOST_PACKET_BYTES = 262_144  # of a pcap file, as libpcap has it (MAXIMUM_SNAPLEN)
MOST_BLOCK_BYTES = 16 << 20
_BUFFER = 1 << 20
_STREAM_BUFFER = 1 << 16
_GZIP = b"\x1f\x8b"
_MAGIC_BYTES = 4
_EXPECTED = "expected a capture, pcap or pcapng, as `tcpdump -w` writes it"
_NANO, _MICRO = 1_000_000_000, 1_000_000
_LINK_TYPE = 0xFFFF  # above it stands whether frames end in a checksum
_DAMAGE = (BlockError, Scapy_Exception, OSError, ValueError, struct.error, zlib.error)

logging.getLogger("scapy").setLevel(logging.ERROR)  # what is wrong with a file is said here


class _Counted:
    """A stream that knows how far it has been read; ``most`` bytes at once, or it is damaged."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self.most = MOST_PACKET_BYTES
        self.position = 0

    def read(self, size: int) -> bytes:
        if size > self.most:
            raise BlockError(f"a length of {size}, expected at most {self.most}")
        try:
            data = self._stream.read(size)
        except EOFError as error:  # gzip's, not the end that a reader expects
            raise BlockError("the compressed data end too early") from error
        self.position += len(data)
        return data


class CaptureFile:
    """A capture that is read once, from its beginning; ``STANDARD_INPUT`` is that."""

    def __init__(self, path: str) -> None:
        """Raises CaptureError if it cannot be read, or is no capture."""
        self._name = "standard input" if path == STANDARD_INPUT else path
        self._blocks = Blocks()
        try:
            self._file = _open(path)
            status = os.fstat(self._file.fileno())
            self.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            self._bytes = _Counted(_uncompressed(self._file))
            self._reader = RawPcapNgReader(self._bytes)
        except Scapy_Exception as error:
            what = "is no capture" if self._bytes.position else "is empty"
            raise CaptureError(f"{self._name} {what}: {_EXPECTED}") from error
        except OSError as error:
            raise CaptureError(f"cannot read {self._name}: {error.strerror or error}") from error
        except _DAMAGE as error:
            raise CaptureError(f"{self._name} is damaged: {error}: {_EXPECTED}") from error
        self._read_one = self._prepare()

    @property
    def position(self) -> int:
        """How many of the file's ``size`` bytes have been read; both are 0 for what is no file."""
        return self._file.tell() if self.size else 0

    def packets(self) -> Iterator[Recorded]:
        """What came in, in the file's order. Raises CaptureError where the file is damaged."""
        while True:
            began = self._bytes.position
            try:
                one = self._read_one()
            except EOFError as error:
                if self._bytes.position == began:
                    break
                raise self._damaged(began, "it ends in the middle of a packet") from error
            except _DAMAGE as error:
                raise self._damaged(began, str(error)) from error
            if one is not None:
                yield one
        if self._blocks.is_deaf:
            raise CaptureError(f"{self._name} has no interface of a known type: expected {KNOWN}")

    def close(self) -> None:
        self._file.close()

    def _prepare(self) -> Callable[[], Recorded | None]:
        """What reads a packet, or something else; EOFError at the end. Raises CaptureError."""
        if isinstance(self._reader, RawPcapNgReader):
            return self._prepare_blocks()
        link_type = self._reader.linktype & _LINK_TYPE
        if not is_known(link_type):
            raise CaptureError(f"{self._name} is of link type {link_type}: expected {KNOWN}")
        reader: RawPcapReader = self._reader
        units, medium = _NANO if reader.nano else _MICRO, medium_of(link_type)

        def read_packet() -> Recorded | None:
            data, told = reader._read_packet(MOST_PACKET_BYTES)
            if len(data) < told.caplen:
                raise EOFError
            if told.usec >= units:
                raise BlockError(f"{told.usec} parts of a second, expected less than {units}")
            return recorded(link_type, medium, data, told.sec + told.usec / units)

        return read_packet

    def _prepare_blocks(self) -> Callable[[], Recorded | None]:
        reader, blocks = self._reader, self._blocks
        self._bytes.most = MOST_BLOCK_BYTES
        begin_section = reader._read_block_shb

        def section() -> None:
            blocks.begin_section()
            begin_section()

        reader._read_block_shb = section
        reader.blocktypes = {
            INTERFACE: lambda block, _: blocks.add_interface(block, reader.endian),
            OLD_PACKET: lambda block, _: blocks.old_packet(block, reader.endian),
            SIMPLE_PACKET: lambda block, _: blocks.simple_packet(block, reader.endian),
            PACKET: lambda block, _: blocks.packet(block, reader.endian),
        }

        def read_block() -> Recorded | None:
            found: Recorded | None = reader._read_block()
            return found

        return read_block

    def _damaged(self, began: int, why: str) -> CaptureError:
        return CaptureError(f"{self._name} is damaged at byte {began}: {why}")


def _open(path: str) -> io.BufferedReader:
    if path == STANDARD_INPUT:
        return io.BufferedReader(io.FileIO(0, "rb", closefd=False), _STREAM_BUFFER)
    return io.BufferedReader(io.FileIO(path, "rb"), _BUFFER)


def _uncompressed(file: io.BufferedReader) -> io.BufferedReader:
    if file.peek(_MAGIC_BYTES)[: len(_GZIP)] != _GZIP:
        return file
    # Not GzipFile itself: a small read of it takes several calls.
    return io.BufferedReader(gzip.GzipFile(fileobj=file), _STREAM_BUFFER)
