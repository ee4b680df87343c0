"""Where a daemon keeps what, by the configuration that it guards: two may guard one host.

A configuration is the file that its path leads to in the end, by whatever name.
"""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_PATH = "/etc/knockd.conf"
STATE_FOLDER = "/var/lib/knockd"
RUN_FOLDER = "/run/knockd"


def state_folder() -> Path:
    """What outlives the daemon."""
    return _named("STATE_DIRECTORY", STATE_FOLDER)


def stem_of(config_path: str) -> Path:
    """How the paths begin of all that is kept of a configuration."""
    return state_folder() / f"doors{_suffix(config_path)}"


def journal_of(stem: Path) -> Path:
    """Which doors stand open, by the ``stem``."""
    return stem.with_name(f"{stem.name}.sqlite")


def control_path(config_path: str) -> Path:
    """The socket for knockctl."""
    return _named("RUNTIME_DIRECTORY", RUN_FOLDER) / f"control{_suffix(config_path)}"


def digest(text: str) -> str:
    """A short word for ``text``, another for every other."""
    # Not at the top: it loads OpenSSL, which loads what the environment names.
    import hashlib

    return hashlib.sha256(os.fsencode(text)).hexdigest()[:12]


def _suffix(config_path: str) -> str:
    config = os.path.realpath(config_path)
    return "" if config == os.path.realpath(CONFIG_PATH) else f"-{digest(config)}"


def _named(variable: str, default: str) -> Path:
    """systemd names several with colons between them, if the unit does; then it is the first."""
    named = os.environ.get(variable, "").split(":")
    return Path(next(filter(None, named), default))
