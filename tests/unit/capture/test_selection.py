"""Which interfaces are meant."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from pyknockd.capture.selection import Selection


class Routes:
    """The default route's interface, and whether anybody has asked."""

    def __init__(self, interface: str | None = None) -> None:
        self.interface = interface
        self.asked = False

    def find(self, there: Collection[str]) -> str | None:
        self.asked = True
        return self.interface if self.interface in there else None


def names(wanted: list[str], there: list[str], route: str | None = None) -> list[str]:
    return Selection(wanted, Routes(route).find).names(there)


def test_what_is_named_is_meant_whether_it_is_there_or_not() -> None:
    assert names(["eth1", "eth0"], ["lo", "eth0"]) == ["eth1", "eth0"]


def test_any_is_all_there_is() -> None:
    assert names(["any"], ["lo", "eth0", "wg0"]) == ["lo", "eth0", "wg0"]
    assert names(["eth9", "any"], ["lo", "eth0"]) == ["lo", "eth0"]


@pytest.mark.parametrize(
    ("there", "route", "meant"),
    [
        (["lo", "eth0", "eth1"], "eth1", "eth0"),
        (["lo", "wlan0", "ens3"], "ens3", "ens3"),
        (["lo", "wlan0", "ens3"], None, "eth0"),
        (["lo", "ens3"], None, "ens3"),
        (["lo", "ens3"], "gone0", "ens3"),
        (["lo"], None, "eth0"),
        ([], None, "eth0"),
    ],
)
def test_auto_is_eth0_or_the_default_routes_or_the_only_one(
    there: list[str], route: str | None, meant: str
) -> None:
    assert names(["auto"], there, route) == [meant]


def test_auto_stays_with_what_it_had_while_there_is_no_route() -> None:
    routes = Routes("ens3")
    selection = Selection(["auto"], routes.find)
    there = ["lo", "wlan0", "ens3"]
    assert selection.names(there) == ["ens3"]
    routes.interface = None
    assert selection.names(there) == ["ens3"]
    routes.interface = "wlan0"
    assert selection.names(there) == ["wlan0"]
    assert selection.names(["lo", "ens3", "ens4"]) == ["eth0"]


def test_auto_and_a_name_may_be_the_same_one() -> None:
    assert names(["auto", "eth0", "eth0"], ["lo", "eth0"]) == ["eth0"]


def test_routes_are_asked_for_only_where_they_matter() -> None:
    for wanted, there in (
        (["eth1"], ["lo"]),
        (["any", "auto"], ["lo"]),
        (["auto"], ["lo", "eth0"]),
    ):
        routes = Routes()
        Selection(wanted, routes.find).names(there)
        assert not routes.asked
    assert Selection(["eth1", "auto"], Routes().find).heeds_routes
    assert not Selection(["any", "auto"], Routes().find).heeds_routes
    assert not Selection(["eth1"], Routes().find).heeds_routes


def test_only_what_is_named_is_waited_for() -> None:
    selection = Selection(["eth0", "auto"], Routes().find)
    assert selection.is_named("eth0")
    assert not selection.is_named("ens3")
