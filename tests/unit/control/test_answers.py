"""What the daemon answers."""

from __future__ import annotations

import json
from dataclasses import asdict

from pyknockd.control.answers import Door, Interface, Status, Visit


def test_answers_are_what_json_knows_key_by_key() -> None:
    door = Door("ssh", "sequence", 3, 10.0, ("iptables -I …: in process",))
    status = Status(
        "1.0", 5.0, "1 open", (Interface("eth0", "come"),), (door,), 1, 2, 3, 4, "f", ("new",)
    )
    visit = Visit("ssh", "192.0.2.7", 1.0, None, "opened", None)
    assert json.loads(json.dumps(asdict(status))) == {
        "version": "1.0",
        "since": 5.0,
        "text": "1 open",
        "interfaces": [{"name": "eth0", "state": "come", "text": ""}],
        "doors": [
            {
                "name": "ssh",
                "proof": "sequence",
                "steps": 3,
                "timeout": 10.0,
                "ways": ["iptables -I …: in process"],
            }
        ],
        "open": 1,
        "attempts": 2,
        "packets_dropped": 3,
        "first_knocks_left_out": 4,
        "config_path": "f",
        "config": ["new"],
    }
    assert json.loads(json.dumps(asdict(visit))) == {
        "door": "ssh",
        "source": "192.0.2.7",
        "since": 1.0,
        "until": None,
        "cause": "opened",
        "closing": None,
    }
