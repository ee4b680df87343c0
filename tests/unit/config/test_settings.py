"""pyknockd.yaml: settings, or every mistake with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.config.settings import parse
from pyknockd.model import Extras, Limits, Timers

FULL = """
control: /run/other/control
interfaces: [eth0, wg0]
limits:
  attempts: 1000
  first_knocks: 300
  commands: 8
  log_lines: 0
  hung_seconds: 5
  history_rows: 100
  history_days: 7
metrics:
  textfile: /srv/metrics/knockd.prom
timers: close
"""


def test_every_setting_is_read() -> None:
    extras, remarks = parse(FULL)
    assert remarks == ()
    assert extras == Extras(
        ("eth0", "wg0"),
        Limits(1000, 300, 8, 0, 5, 100, 7),
        Timers.CLOSE,
        "/run/other/control",
        "/srv/metrics/knockd.prom",
    )


@pytest.mark.parametrize(
    "path", ["", "control", "./control", "/run/", '"/a\\0b"', "[/a]", "{a: b}"]
)
def test_a_place_is_a_path_from_the_root(path: str) -> None:
    for text in (f"control: {path}", f"metrics:\n  textfile: {path}"):
        extras, (remark,) = parse(text)
        assert extras == Extras()
        assert "expected a path that begins with /" in remark.text


def test_there_is_one_kind_of_metrics() -> None:
    (remark,) = parse("metrics: {listen: 9100}")[1]
    assert "did you mean textfile?" in remark.text


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_changes_nothing(text: str) -> None:
    assert parse(text) == (Extras(), ())


@pytest.mark.parametrize("word", ["any", "auto", "eth0"])
def test_one_interface_needs_no_list(word: str) -> None:
    assert parse(f"interfaces: {word}")[0].interfaces == (word,)


def test_every_mistake_is_told_with_its_line() -> None:
    text = (
        "interfaces: []\nlimits:\n  atempts: 5\n  commands: many\n  log_lines: -1\ntimers: maybe\n"
    )
    remarks = parse(text)[1]
    assert [remark.line for remark in remarks] == [1, 3, 4, 5, 6]
    assert "did you mean attempts?" in remarks[1].text
    assert remarks[2].text == "commands: found 'many'; expected a number from 1 to 4096"
    assert remarks[4].text == "found 'maybe'; expected keep or close"


def test_a_key_given_twice_is_a_mistake() -> None:
    assert parse("timers: keep\ntimers: close\n")[1][0].line == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [1\nb: 2", 2), ("\x00", 1), ("just text", 1), ("- a\n- b", 1), ("a: b: c", 1)],
)
def test_what_is_no_mapping_is_told(text: str, line: int) -> None:
    extras, remarks = parse(text)
    assert extras == Extras()
    assert [remark.line for remark in remarks] == [line]


def test_nothing_but_plain_data_is_ever_made() -> None:
    extras, remarks = parse("interfaces: !!python/object/apply:os.system ['true']")
    assert extras == Extras(interfaces=("true",)) or remarks


@given(st.one_of(st.text(), st.text(alphabet="interfacslmt:{}[]-\n &*!|>'\"#0123456789")))
def test_any_text_gives_settings_or_mistakes(text: str) -> None:
    extras, remarks = parse(text)
    assert isinstance(extras, Extras)
    assert all(remark.line >= 1 and remark.text for remark in remarks)
