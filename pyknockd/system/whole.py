"""A file that is replaced in one step: whoever reads it finds the old content or the new, whole."""

from __future__ import annotations

import os
from contextlib import suppress


def replace_whole(path: str, content: bytes, mode: int, *, lasting: bool = False) -> None:
    """Write ``content`` beside ``path``, then put it there. Raises OSError, and leaves what was.

    ``mode`` is the new file's, whatever the umask. ``lasting``: it is on the disk first.
    """
    fresh = f"{path}.new"
    try:
        with suppress(FileNotFoundError):
            os.unlink(fresh)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(fresh, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError:
        with suppress(OSError):
            os.unlink(fresh)
        raise
