"""What is refused about a back-up, with nothing changed and nothing left behind."""

import gzip
import io
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from models import migrate
from models.backups import archive, databases
from models.backups.manifests import BackupError, Manifest, NotEmptyError, check
from models.backups.service import Stores, back_up, restore
from models.secrets import secrets_path

NOW_MS = 1_700_000_000_000


@pytest.fixture
def stores(
    migrated_file: Path, redis_client: redis.Redis, new_folder: Callable[[str], Path]
) -> Stores:
    """A machine at rest, with a database, a room and secrets."""
    folder = new_folder("d")
    path = folder / "stanchion.db"
    path.write_bytes(migrated_file.read_bytes())
    secrets_path(folder).write_text('{"admin_key": "of the back-up"}')
    redis_client.sadd("rooms:ids", "sale")
    redis_client.hset("{q:sale}:room", "name", "Sale")
    return Stores(f"sqlite:///{path}", folder, redis_client, {})


@pytest.fixture
def file(stores: Stores, new_folder: Callable[[str], Path]) -> Path:
    """A back-up of `stores`."""
    path = new_folder("f") / "night.tar.gz"
    make(stores, path)
    return path


def make(stores: Stores, path: Path) -> Manifest:
    return back_up(stores, path, release="1", schema=migrate.head(), now_ms=NOW_MS)


def put_back(stores: Stores, path: Path, *, may_replace: bool = True) -> None:
    restore(stores, path, schema=migrate.head(), may_replace=may_replace, now_ms=NOW_MS)


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def test_what_is_there_is_replaced_only_when_told_and_is_set_aside(
    stores: Stores, file: Path
) -> None:
    with sqlite3.connect(stores.data / "stanchion.db") as connection:
        connection.execute("CREATE TABLE of_today (n)")
    connection.close()
    secrets_path(stores.data).write_text('{"admin_key": "of today"}')
    stores.redis.hset("{q:sale}:room", "name", "Sale of today")
    stores.redis.set("{q:today}:room", "made since")
    before = names(stores.data)

    with pytest.raises(NotEmptyError, match=r"stanchion\.db is not empty: .* --replace"):
        put_back(stores, file, may_replace=False)
    assert names(stores.data) == before
    put_back(stores, file)

    aside = f"before-{NOW_MS}"
    kept = {f"stanchion-{aside}.db", f"secrets-{aside}.json"}
    assert set(names(stores.data)) == set(before) | kept
    assert "of the back-up" in secrets_path(stores.data).read_text()
    assert stores.redis.hget("{q:sale}:room", "name") == b"Sale"
    assert not stores.redis.exists("{q:today}:room")
    with sqlite3.connect(stores.data / f"stanchion-{aside}.db") as connection:
        connection.execute("SELECT n FROM of_today")
    connection.close()


def test_rooms_alone_are_not_replaced_unasked(stores: Stores, file: Path) -> None:
    (stores.data / "stanchion.db").unlink()

    with pytest.raises(NotEmptyError, match="Redis is not empty"):
        put_back(stores, file, may_replace=False)

    assert "stanchion.db" not in names(stores.data)


def test_a_database_that_somebody_has_open_is_left_alone(stores: Stores, file: Path) -> None:
    with sqlite3.connect(stores.data / "stanchion.db") as other:
        other.execute("PRAGMA journal_mode=WAL")  # as processes of the product do
        other.execute("SELECT count(*) FROM sqlite_master").fetchone()
        before = names(stores.data)

        with pytest.raises(BackupError, match="is in use, stop every process first"):
            put_back(stores, file)

        assert names(stores.data) == before
    other.close()


def test_a_file_that_is_there_is_not_overwritten(stores: Stores, file: Path) -> None:
    was = file.read_bytes()

    with pytest.raises(BackupError, match="there is such a file already"):
        make(stores, file)

    assert (file.read_bytes(), names(file.parent)) == (was, [file.name])


def test_a_folder_that_is_not_there_is_named(stores: Stores, file: Path) -> None:
    with pytest.raises(BackupError, match="nowhere: cannot be written to: No such file"):
        make(stores, file.parent / "nowhere" / "x.tar.gz")


def test_only_its_owner_may_read_it(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_told(stores: Stores, file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    before = names(stores.data)

    with pytest.raises(BackupError, match="no back-up, or is cut off"):
        put_back(stores, file)

    assert names(stores.data) == before


def test_a_part_that_changed_is_named(stores: Stores, file: Path) -> None:
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[content.index(b"of the back-up")] ^= 1
    file.write_bytes(gzip.compress(content))

    with pytest.raises(BackupError, match=r"secrets\.json is not as it was written"):
        put_back(stores, file)


@pytest.mark.parametrize("name", ["../outside", "/outside", "folder/inside"])
def test_members_of_other_names_are_not_unpacked(stores: Stores, file: Path, name: str) -> None:
    with tarfile.open(file, "w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = 3
        tar.addfile(info, io.BytesIO(b"bad"))

    with pytest.raises(BackupError, match="it is no back-up"):
        put_back(stores, file)

    assert not (stores.data.parent / "outside").exists()
    assert not Path("/outside").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"format": 2}, "expected format 1, got 2"),
        ({"backend": "postgresql"}, "it is of postgresql, and STANCHION_DATABASE_URL names sqlite"),
        ({"schema": "9999"}, "it has schema 9999, this release 0020: it needs a later one"),
    ],
)
def test_what_this_release_cannot_use_is_refused(changed: dict[str, str], reason: str) -> None:
    known = {"format": 1, "backend": "sqlite", "schema": "0001"} | changed
    manifest = Manifest(**known, release="1", made_at_ms=NOW_MS, parts=())  # type: ignore[arg-type]

    with pytest.raises(BackupError, match=reason):
        check(manifest, backend="sqlite", schema="0020")


def test_a_damaged_database_is_told_when_it_is_copied(
    new_folder: Callable[[str], Path],
) -> None:
    folder = new_folder("d")
    (folder / "stanchion.db").write_bytes(b"no database at all" * 1000)

    with pytest.raises(BackupError, match="cannot be copied: file is not a database"):
        databases.copy(f"sqlite:///{folder}/stanchion.db", folder / "copy", environ={})


def test_a_disk_that_is_full_leaves_nothing_behind(stores: Stores, file: Path) -> None:
    full = Path("/dev/full")
    manifest = archive.unpack(file, stores.data)

    with pytest.raises(BackupError, match="cannot be written"):
        archive.write(full / "x", manifest, [stores.data / part.name for part in manifest.parts])
