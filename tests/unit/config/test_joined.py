"""Doors of both files, put together."""

from __future__ import annotations

from pyknockd.config.joined import joined
from pyknockd.config.knockd_conf import no_files
from pyknockd.model import Command, Directive, Door, DoorSettings, Policy, Protocol, Step

SSH = Door("ssh", (Step(7000, Protocol.TCP),))
POLICY = Policy(cooldown=30.0)


def test_a_door_of_knockd_conf_gets_its_policy_and_keeps_everything_else() -> None:
    web = Door("web")
    together = joined((SSH, web), (DoorSettings("ssh", 1, POLICY),), no_files)
    assert together.remarks == ()
    first, second = together.doors
    assert (first.steps, first.policy, first.has_policy) == (SSH.steps, POLICY, True)
    assert second == web


def test_a_directive_of_a_door_that_stands_in_knockd_conf_belongs_there() -> None:
    settings = DoorSettings("ssh", 1, POLICY, (Directive("target", "192.0.2.1", 3),))
    (remark,) = joined((SSH,), (settings,), no_files).remarks
    assert remark.line == 3
    assert remark.text == "target: the door ssh stands in knockd.conf; write it there"


def test_a_new_name_is_a_door_of_its_own() -> None:
    directives = (
        Directive("sequence", "7000,8000:udp", 3),
        Directive("start_command", "/bin/true %IP%", 4),
        Directive("cmd_timeout", "60", 5),
    )
    together = joined((SSH,), (DoorSettings("web", 2, POLICY, directives),), no_files)
    assert together.remarks == ()
    web = together.doors[1]
    assert web.steps == (Step(7000, Protocol.TCP), Step(8000, Protocol.UDP))
    assert web.opening == Command("/bin/true %IP%")
    assert (web.open_for, web.policy, web.has_policy) == (60.0, POLICY, True)


def test_a_new_name_without_a_sequence_is_a_mistake_in_the_name_perhaps() -> None:
    (remark,) = joined((SSH,), (DoorSettings("shh", 2, POLICY),), no_files).remarks
    assert remark.line == 2
    assert remark.text.startswith("no door shh in knockd.conf")


def test_a_mistake_in_a_directive_is_told_alone_and_with_its_line() -> None:
    settings = DoorSettings("web", 2, POLICY, (Directive("sequence", "99999", 3),))
    (remark,) = joined((), (settings,), no_files).remarks
    assert remark.line == 3
