"""The daemon with a witness: what its readers are told is written down, an event a line.

python -m tests.support.witness FILE [knockd's options]
"""

from __future__ import annotations

import sys

from pyknockd.cli import main
from pyknockd.model.events import Event
from pyknockd.report import Report, json_line


def testify(path: str) -> None:
    """Let every event that the log is told of be added to the file at ``path``."""
    take = Report.take

    def take_and_write(self: Report, event: Event) -> None:
        with open(path, "a") as file:
            file.write(json_line(event) + "\n")
        take(self, event)

    Report.take = take_and_write  # type: ignore[method-assign]


if __name__ == "__main__":
    testify(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
