"""Where a daemon keeps what, by the configuration that it guards: two may guard one host."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_PATH = "/etc/knockd.conf"
STATE_FOLDER = "/var/lib/knockd"
RUN_FOLDER = "/run/knockd"


def journal_path(config_path: str) -> Path:
    """The journal of open doors."""
    return _folder("STATE_DIRECTORY", STATE_FOLDER) / f"doors{_suffix(config_path)}.sqlite"


def control_path(config_path: str) -> Path:
    """The socket for knockctl."""
    return _folder("RUNTIME_DIRECTORY", RUN_FOLDER) / f"control{_suffix(config_path)}"


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default)


def _suffix(config_path: str) -> str:
    if os.path.abspath(config_path) == CONFIG_PATH:
        return ""
    # Not at the top: it loads OpenSSL, which loads what the environment names.
    import hashlib

    digest = hashlib.sha256(os.fsencode(os.path.realpath(config_path))).hexdigest()
    return f"-{digest[:12]}"
