"""The examples of pyknockd.yaml(5) are what they say they are."""

from __future__ import annotations

import re

from pyknockd.config.joined import joined
from pyknockd.config.knockd_conf import DOOR, no_files
from pyknockd.config.policies import _Draft
from pyknockd.config.settings import parse
from pyknockd.model import Door, Extras
from pyknockd.system.nodes import Remarks
from tests.support.lab import ROOT

PAGE = (ROOT / "debian" / "pyknockd.yaml.5").read_text()


def examples() -> list[str]:
    found = re.findall(r"^\.EX\n(.*?)^\.EE", PAGE, re.M | re.S)
    return [text.replace("\\-", "-") for text in found]


def test_what_the_page_gives_as_the_defaults_are_the_defaults() -> None:
    empty = re.compile(r"^(doors|metrics|alerts|on_start|on_stop): .*\n", re.MULTILINE)
    extras, remarks = parse(empty.sub("", examples()[0]))
    assert remarks == ()
    assert extras == Extras(interfaces=("auto",), control="/run/knockd/control")


def test_the_page_gives_each_key_of_the_file() -> None:
    given = re.findall(r"^(\w+):", examples()[0], re.MULTILINE)
    (mistake,) = parse("nothing: 1")[1]
    assert set(given) == set(mistake.text.partition("There are ")[2].split(", "))


def test_the_example_of_alerts_is_read_without_a_mistake() -> None:
    extras, remarks = parse(examples()[2])
    assert remarks == ()
    assert [alert.count for alert in extras.alerts] == [20, 1]


def test_the_example_of_doors_is_read_without_a_mistake() -> None:
    extras, remarks = parse(examples()[1])
    assert remarks == ()
    together = joined((Door("openSSH"),), extras.doors, no_files)
    assert together.remarks == ()
    assert [door.name for door in together.doors] == ["openSSH", "web"]


def test_the_page_explains_each_key_of_a_door() -> None:
    keys = set(_Draft(Remarks()).setters()) - set(DOOR)
    explained = set(re.findall(r"^\.TP\n\.B (\w+)$", PAGE, re.M))
    assert keys <= explained
