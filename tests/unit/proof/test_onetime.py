"""The file of one-time sequences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyknockd.model import InForce, Protocol, Step
from pyknockd.proof.onetime import FilesInMemory, OneTimeError, first_sequence, use


def steps(*ports: int) -> tuple[Step, ...]:
    return tuple(Step(port, Protocol.TCP) for port in ports)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sequences"
    path.write_text("# mine\n1,70000\n\n 7001,7002\n7003,7004:udp\n")
    return path


def test_the_first_usable_line_is_in_force(file: Path) -> None:
    assert first_sequence(str(file)) == InForce(steps(7001, 7002), 2)


def test_the_used_line_is_marked_in_place_and_no_other(file: Path) -> None:
    following = use(str(file), steps(7001, 7002))
    assert following == InForce((Step(7003, Protocol.TCP), Step(7004, Protocol.UDP)), 1)
    assert file.read_text() == "# mine\n1,70000\n\n#7001,7002\n7003,7004:udp\n"


def test_when_all_are_used_none_is_in_force(file: Path) -> None:
    assert use(str(file), use(str(file), steps(7001, 7002)).steps) == InForce()
    assert first_sequence(str(file)) == InForce()


def test_a_file_in_memory_is_used_line_by_line_and_stays_as_it_is(file: Path) -> None:
    before, files = file.read_bytes(), FilesInMemory()
    following = files.use(str(file), steps(7001, 7002)).steps
    assert following == (Step(7003, Protocol.TCP), Step(7004, Protocol.UDP))
    assert files.use(str(file), following) == InForce()
    with pytest.raises(OneTimeError, match="used already"):
        files.use(str(file), following)
    assert file.read_bytes() == before


def test_a_file_that_is_only_read_need_not_be_writable(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root can write every file: what access(2) answers to others is given here."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(OneTimeError, match="cannot be written"):
        first_sequence(str(file))
    assert first_sequence(str(file), to_be_used=False).steps == steps(7001, 7002)


def test_no_line_can_be_used_twice(file: Path) -> None:
    use(str(file), steps(7001, 7002))
    with pytest.raises(OneTimeError, match="used already"):
        use(str(file), steps(7001, 7002))


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(OneTimeError, match=re.escape(f"{tmp_path}/x: No such file")):
        first_sequence(f"{tmp_path}/x")


@pytest.mark.parametrize("path", ["/proc/self/mem", "/dev/null", "/", "a\0b"])
def test_what_cannot_be_read_is_an_error_that_names_it(path: str) -> None:
    for look in (first_sequence, lambda path: use(path, steps(7001))):
        with pytest.raises(OneTimeError, match=re.escape(path)):
            look(path)
