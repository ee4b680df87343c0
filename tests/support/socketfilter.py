"""A packet filter in the real kernel, on a socket pair whose messages serve as frames. No root."""

from __future__ import annotations

import ctypes
import socket
from struct import pack

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it


class Kernel:
    """The kernel's verdict on frames, under one filter."""

    def __init__(self, code: bytes) -> None:
        self._left, self._right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._right.setblocking(False)
        self.attach(code)

    def attach(self, code: bytes) -> None:
        buffer = ctypes.create_string_buffer(code, len(code))
        filter_program = pack("HL", len(code) // 8, ctypes.addressof(buffer))
        self._right.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_program)

    def passes(self, frame: bytes) -> bool:
        self._left.send(frame)
        try:
            self._right.recv(4096)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._left.close()
        self._right.close()
