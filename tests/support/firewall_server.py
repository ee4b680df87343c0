"""A process on a server that runs commands, through ``Firewall`` or by their programs."""

from __future__ import annotations

import json
import subprocess
import sys

from pyknockd.firewall import Firewall, Outcome, is_iptables


def serve(through_firewall: bool) -> None:
    """Run each line's words, and say its status, how it was run, and the tables afterwards."""
    firewall = Firewall()
    for line in sys.stdin:
        words, saves = json.loads(line)
        how, status, warning = "PROGRAM", 0, ""
        if through_firewall and is_iptables(words):
            how, status, warning = _apply(firewall, words)
        elif words:
            status = _run(words)
        said = [subprocess.run(save, capture_output=True, text=True).stdout for save in saves]
        print(json.dumps([how, status, warning, "".join(said)]), flush=True)


def _apply(firewall: Firewall, words: list[str]) -> tuple[str, int, str]:
    applied = firewall.apply(words)
    if applied.outcome is Outcome.RUN_THE_PROGRAM:
        if applied.check and not _run(list(applied.check)):
            return f"ALREADY: {applied.reason}", 0, applied.old.warning
        return f"PROGRAM: {applied.reason}", _run(words), applied.warning
    if applied.already:
        return "ALREADY", 0, applied.old.warning
    return applied.outcome.name, 0, applied.warning


def _run(words: list[str]) -> int:
    return subprocess.run(words, capture_output=True, check=False).returncode


if __name__ == "__main__":
    serve(sys.argv[1] == "ours")
