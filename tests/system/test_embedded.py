"""The append-only file of the embedded Redis, damaged as a machine that loses power damages it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from api.supervisor.embedded import mend
from tests.servers import RedisServer


@pytest.fixture
def written(new_folder: Callable[[str], Path]) -> Iterator[tuple[RedisServer, Path, Path]]:
    """A stopped Redis with a hundred keys, its folder, and its append-only file."""
    folder = new_folder("a")
    with RedisServer(folder, appends=True) as server:
        with redis.Redis.from_url(server.url) as client:
            for number in range(100):
                client.set(f"k{number}", number)
            client.pipeline(transaction=True).set("a", 1).set("b", 2).execute()
        server.stop()
        yield server, folder, next((folder / "appendonlydir").glob("*.incr.aof"))


@pytest.mark.parametrize("garbage", [b"\0" * 5000, b"*3\r\n$3\r\nSET\r\nrubbish", b"*-1\r\n"])
def test_a_damaged_end_is_cut_off_and_kept(
    written: tuple[RedisServer, Path, Path], garbage: bytes
) -> None:
    server, folder, path = written
    whole = path.read_bytes()
    path.write_bytes(whole + garbage)

    said = mend(folder)

    assert said is not None
    assert f"its last {len(garbage)} bytes" in said
    assert path.read_bytes() == whole
    assert [kept.read_bytes() for kept in folder.glob("cut-*.aof")] == [garbage]
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 102


def test_a_whole_file_is_left_as_it_is(written: tuple[RedisServer, Path, Path]) -> None:
    _, folder, path = written
    before = path.read_bytes()

    assert mend(folder) is None
    assert path.read_bytes() == before


def test_a_transaction_is_cut_off_whole(written: tuple[RedisServer, Path, Path]) -> None:
    _, folder, path = written
    whole = path.read_bytes()
    path.write_bytes(whole.removesuffix(b"*1\r\n$4\r\nEXEC\r\n") + b"\0")

    mend(folder)

    assert path.read_bytes() == whole[: whole.index(b"*1\r\n$5\r\nMULTI\r\n")]


def test_much_damage_is_told_and_not_touched(written: tuple[RedisServer, Path, Path]) -> None:
    _, folder, path = written
    damaged = path.read_bytes() + b"\0" * 2_000_000
    path.write_bytes(damaged)

    said = mend(folder)

    assert said is not None
    assert "is damaged from byte" in said
    assert path.read_bytes() == damaged


def test_no_file_is_no_damage(tmp_path: Path) -> None:
    assert mend(tmp_path) is None
