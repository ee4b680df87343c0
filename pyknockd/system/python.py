"""Which Python runs this, and which one sees the distribution's packages."""

from __future__ import annotations

import os
import sys

DISTRIBUTIONS = "/usr/bin/python3"


def advice(error: ImportError, package: str) -> str:
    """Why a library cannot be imported, and how to get it; ``package`` is its name in Debian."""
    install = f"apt-get install --no-install-recommends {package}"
    if _is_the_distributions():
        return f"{error} for {sys.executable}: try: {install}"
    # pyenv's, conda's or one in /usr/local: the package would not be seen there.
    return f"{error} for {sys.executable}: use {DISTRIBUTIONS} instead, after: {install}"


def _is_the_distributions() -> bool:
    return sys.prefix == "/usr" and os.path.realpath(sys.executable) == os.path.realpath(
        DISTRIBUTIONS
    )
