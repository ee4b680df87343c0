"""pyknockd.yaml: settings, or every mistake with its line."""

from __future__ import annotations

import re

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
last_good: true
"""


def test_every_setting_is_read() -> None:
    extras, remarks = parse(FULL)
    assert remarks == ()
    assert extras == Extras(
        ("eth0", "wg0"),
        Limits(1000, 300, 8, 0, 5, 100, 7),
        Timers.CLOSE,
        last_good=True,
        control="/run/other/control",
        metrics_file="/srv/metrics/knockd.prom",
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
        "last_good: sometimes\n"
    )
    remarks = parse(text)[1]
    assert [remark.line for remark in remarks] == [1, 3, 4, 5, 6, 7]
    assert "did you mean attempts?" in remarks[1].text
    assert remarks[2].text == "commands: found 'many'; expected a number from 1 to 4096"
    assert remarks[4].text == "found 'maybe'; expected keep or close"
    assert remarks[5].text == "found 'sometimes'; expected true or false"


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


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('timers: keep\ninterfaces: "\\ud800"\n', 2, r"found '\\ud800'"),
        ("limits: {}\ninterfaces: [a b]\n", 2, "found a list"),
        ('timers: "\\e[31m"\n', 1, r"found '\\x1b\[31m'"),
        ('timers: keep\nlimits: "\\UFFFFFFFF"\n', 2, "not YAML"),
        ("timers: keep\n\nlimits: \0\n", 3, "not YAML: character 0x0 "),
        ("\n" + "[" * 10_000, 2, "not YAML: it is nested too deeply"),
        ("\n" + "- " * 10_000, 2, "not YAML: it is nested too deeply"),
        ("\n? [a, b]\n: 1\n", 2, "found a list; expected a key"),
        ("timers: &a [*a]\n", 1, r"not YAML: its aliases \(\*\) make too much"),
        ('limits: "x\u2028y"\ntimers: no\n', 2, "found 'no'"),
        ("x" * 300_000, 1, "found 'x+… "),
        ("timers: " + "x" * 300_000, 1, "found 'x+… "),
        (f"? {'x' * 300_000}\n: 1\n", 1, "no key x+… "),
        (f"timers: *{'x' * 300_000}\n", 1, "not YAML: found undefined alias 'x+… "),
    ],
)
def test_whatever_it_holds_it_is_told_in_a_short_line_that_can_be_shown(
    text: str, line: int, said: str
) -> None:
    last = parse(text)[1][-1]
    assert last.line == line
    assert re.match(said, last.text)
    assert last.text.isprintable()
    assert len(last.text) < 300


def test_a_key_that_grows_without_end_when_it_is_written_out_is_not() -> None:
    """Each list holds the one before nine times."""
    anchors = "".join(f"- &a{n} [{f'*a{n - 1}, ' * 9 if n else 'x'}]\n" for n in range(20))
    assert parse(f"? [{anchors.replace(chr(10), ',').replace('- ', '')}]\n: 1")[1][0].line == 1
    assert parse(f"{anchors}- ? *a19\n  : 1\n")[1][0].line == 1


@given(st.one_of(st.text(), st.text(alphabet="interfacslmt:{}[]-\n &*!|>'\"#0123456789")))
def test_any_text_gives_settings_or_mistakes(text: str) -> None:
    extras, remarks = parse(text)
    assert isinstance(extras, Extras)
    assert all(remark.line >= 1 and remark.text.isprintable() for remark in remarks)
