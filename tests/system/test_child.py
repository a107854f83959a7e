"""A program beneath the supervisor: how its end is met, and what is heard of it."""

import asyncio
import itertools
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from api.supervisor.child import Child, Program
from api.supervisor.output import LinePump, Output
from tests.processes import wait_until_ended


class Heard(Output):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("text", color=False)
        self.lines: list[str] = []

    def _write(self, line: str) -> None:
        self.lines.append(line)


def child_of(script: str, folder: Path, heard: Heard) -> Child:
    program = Program(name="api", command=["sh", "-c", script], kill_after_s=1)
    lock = os.open(folder, os.O_RDONLY)
    return Child(program, environ=os.environ, folder=folder, lock=lock, output=heard)


async def test_a_program_that_keeps_failing_is_given_ever_longer_pauses(tmp_path: Path) -> None:
    heard = Heard()
    child = child_of("exit 3", tmp_path, heard)
    running = asyncio.create_task(child.keep_running())

    async with asyncio.timeout(20):
        while len(heard.lines) < 3:  # noqa: ASYNC110 (lines are no event)
            await asyncio.sleep(0.02)
        await child.stop()
        await running

    assert heard.lines == [
        f"up      | api ended with 3; again in {pause} s" for pause in ("0.5", "1", "2")
    ]


async def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    heard = Heard()

    code = await child_of("sleep 600 & echo $!; exit 4", tmp_path, heard).run_once()

    assert code == 4
    wait_until_ended([int(heard.lines[0].split()[-1])])


async def test_a_program_that_hangs_is_killed(tmp_path: Path) -> None:
    heard = Heard()
    child = child_of("trap '' TERM; echo up; while :; do sleep 0.1; done", tmp_path, heard)
    running = asyncio.create_task(child.keep_running())
    async with asyncio.timeout(20):
        while not heard.lines:  # noqa: ASYNC110 (lines are no event)
            await asyncio.sleep(0.02)

        await child.stop()
        await running

    assert heard.lines[1:] == ["up      | api did not stop and is killed"]


async def test_any_output_is_survived(tmp_path: Path) -> None:
    heard = Heard()

    code = await child_of(
        "head -c 300000 /dev/urandom; head -c 300000 /dev/zero; printf '\\033[2Jend'",
        tmp_path,
        heard,
    ).run_once()

    assert code == 0
    assert heard.lines[-1].endswith("\\x1b[2Jend")
    assert all(line.replace("\t", "").isprintable() for line in heard.lines)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_how_they_arrive(data: bytes, cuts: list[int]) -> None:
    whole, pieces = (pumped([data]), pumped(parts_of(data, cuts)))

    assert pieces == whole
    assert len(whole) == len(data.removesuffix(b"\n").split(b"\n")) or data == b""


def parts_of(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(at)]


def pumped(parts: list[bytes]) -> list[str]:
    lines: list[str] = []
    pump = LinePump(lines.append)
    for part in parts:
        pump.data_received(part)
    pump.connection_lost(None)
    return lines
