"""The configuration as the files and the command line give it, at the start and again at a reload."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic

from pyknockd.config import ConfigError, Freshness, LastGood, Loaded, load
from pyknockd.model import Config
from pyknockd.model.events import LastGoodTaken, Side, Trouble
from pyknockd.system.places import stem_of
from pyknockd.system.worker import within

PATIENCE = 1.0  # seconds for the disk of the state folder, which may hang


def here() -> str:
    """Where relative paths begin, also once ``-d`` has gone to the folder /."""
    try:
        return os.getcwd()
    except OSError:
        return "/"


@dataclass(frozen=True, slots=True)
class Files:
    """Which files are read, and what holds where they say nothing.

    ``folder`` is where relative paths begin. ``interface_given``: the command line names one.
    ``to_be_used``: one-time sequences will be.
    """

    config: str
    settings: str
    folder: str
    interface_given: bool = False
    log_file: str | None = None
    pid_file: str | None = None
    in_background: bool = False
    to_be_used: bool = True

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.config)

    @property
    def paths(self) -> tuple[str, str]:
        """Of both files."""
        return self.path, os.path.join(self.folder, self.settings)

    @property
    def last_good(self) -> LastGood:
        return LastGood(stem_of(self.path))

    def read(self) -> Loaded:
        """Raises ConfigError."""
        return self._filled_in(
            load(
                self.config,
                self.settings,
                interface_given=self.interface_given,
                to_be_used=self.to_be_used,
                folder=self.folder,
            )
        )

    def read_again(self, fresh: Freshness) -> Config:
        """For the doors to take over, which ``fresh`` is told. Raises ConfigError."""
        loaded = self.read()
        fresh.take()
        self.keep(loaded)
        return loaded.config

    def read_instead(self, error: ConfigError) -> tuple[Loaded, LastGoodTaken] | None:
        """The last good files, where the settings ask for them instead of an end."""
        given = self.interface_given
        find = partial(self.last_good.instead, error, interface_given=given)
        found = within(PATIENCE, find)
        if found is None:
            return None
        taken = LastGoodTaken(monotonic(), error.mistakes, found.path, found.taken)
        return self._filled_in(found.loaded), taken

    def keep(self, loaded: Loaded) -> list[Trouble]:
        """Remember what was taken, for a start that finds mistakes. What there is to tell of that."""
        problem = within(PATIENCE, partial(self._keep, loaded))
        if problem == "" or not loaded.config.extras.last_good:
            return []
        text = f"the last good file cannot be kept: {problem or 'the disk does not answer'}"
        return [Trouble(monotonic(), Side.STATE, text)]

    def _keep(self, loaded: Loaded) -> str:
        """Why it cannot be kept, or the empty text."""
        try:
            self.last_good.keep(loaded)
        except OSError as error:
            return str(error)
        return ""

    def _filled_in(self, loaded: Loaded) -> Loaded:
        config = loaded.config
        log_file, pid_file = config.log_file or self.log_file, config.pid_file or self.pid_file
        # The worker opens these, whatever the loop has made the current folder for a moment.
        doors = tuple(
            replace(door, one_time_file=self._absolute(door.one_time_file)) for door in config.doors
        )
        if self.in_background:
            log_file, pid_file = self._absolute(log_file), self._absolute(pid_file)
        changed = replace(config, doors=doors, log_file=log_file, pid_file=pid_file)
        return replace(loaded, config=changed)

    def _absolute(self, path: str | None) -> str | None:
        return None if path is None else os.path.join(self.folder, path)
