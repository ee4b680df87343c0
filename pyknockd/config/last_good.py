"""The two files as they were when the daemon last took them: copies, for a start that finds mistakes.

They stand in the state folder, since they say which commands root runs and hold sequences: nobody
else may read or change them.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyknockd.config.files import ConfigError, Loaded, load
from pyknockd.system.trust import others_can_change
from pyknockd.system.whole import replace_whole

_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Found:
    """A usable copy: its ``path``, and when it was taken, as text."""

    loaded: Loaded
    path: str
    taken: str


@dataclass(frozen=True, slots=True)
class LastGood:
    """The copies that belong to one configuration: ``stem`` is how their paths begin."""

    stem: Path

    @property
    def conf(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}.last-good.conf")

    @property
    def settings(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}.last-good.yaml")

    def keep(self, loaded: Loaded) -> None:
        """Copy what was taken, if its settings ask for that; else have no copies. Raises OSError."""
        if loaded.config.extras.last_good:
            _write(self.settings, loaded.settings_content)
            _write(self.conf, loaded.content)
        else:
            for path in (self.conf, self.settings):
                path.unlink(missing_ok=True)

    def instead(self, error: ConfigError, *, interface_given: bool) -> Found | None:
        """What to take in the place of files with mistakes; None if nobody asked for that."""
        if error.extras is not None and not error.extras.last_good:
            return None
        with suppress(ConfigError, OSError):
            status = self.conf.lstat()
            if not others_can_change(self.stem.parent.resolve()):
                loaded = load(str(self.conf), str(self.settings), interface_given=interface_given)
                taken = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.st_mtime))
                if loaded.config.extras.last_good:
                    return Found(loaded, str(self.conf), taken)
        return None


def _write(path: Path, content: bytes) -> None:
    """One that says the same keeps its date."""
    with suppress(OSError):
        if path.read_bytes() == content:
            return
    replace_whole(str(path), content, _MODE, lasting=True)
