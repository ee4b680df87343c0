"""Whom a door does not hear, and why."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pyknockd.model import Door, Knock, Policy, Protocol
from pyknockd.model.events import NotHeardCause
from pyknockd.proof import policy as policy_module
from pyknockd.proof.policy import Gate

ME, OTHER = "192.0.2.1", "192.0.2.2"


def knock(source: str = ME, time: float = 0.0, interface: str = "eth0") -> Knock:
    return Knock(source, "192.0.2.9", True, Protocol.TCP, 7000, time=time, interface=interface)


def test_a_door_without_a_policy_hears_everybody() -> None:
    gate, door = Gate(), Door("ssh")
    gate.opened(door, ME, 0.0)
    assert gate.refusal(door, knock()) is None


def test_networks_and_interfaces_are_looked_at() -> None:
    denied = Door("ssh", policy=Policy(deny=(ip_network(ME),)))
    assert Gate().refusal(denied, knock()) is NotHeardCause.DENIED
    assert Gate().refusal(denied, knock(OTHER)) is None
    elsewhere = Door("ssh", policy=Policy(interfaces=("eth1", "wg0")))
    assert Gate().refusal(elsewhere, knock()) is NotHeardCause.NOT_LISTENED_ON
    assert Gate().refusal(elsewhere, knock(interface="wg0")) is None
    assert Gate().refusal(elsewhere, knock(interface="")) is None  # as from a capture


def test_who_has_opened_a_door_is_not_heard_there_for_its_cooldown() -> None:
    gate, door = Gate(), Door("ssh", policy=Policy(cooldown=30.0))
    other = Door("web", policy=Policy(cooldown=30.0))
    gate.opened(door, ME, 100.0)
    assert gate.refusal(door, knock(time=129.9)) is NotHeardCause.COOLDOWN
    assert gate.refusal(door, knock(time=130.0)) is None
    assert gate.refusal(door, knock(OTHER, time=101.0)) is None
    assert gate.refusal(other, knock(time=101.0)) is None


def test_of_those_who_have_opened_only_the_last_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy_module, "MOST_COOLING", 3)
    gate, door = Gate(), Door("ssh", policy=Policy(cooldown=30.0))
    for number in range(5):
        gate.opened(door, f"192.0.2.{number}", 0.0)
    heard = [gate.refusal(door, knock(f"192.0.2.{number}")) is None for number in range(5)]
    assert heard == [True, True, False, False, False]
