"""What must be so before a process starts: a key, a schema, a folder to work in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from models.errors import ConflictError
from models.settings import Settings, SettingsError, host_of, is_loopback

# gunicorn and Celery put the current folder on the path of imports, so it holds nothing.
_EMPTY_FOLDER: Final = "run"


class SchemaBehindError(ConflictError):
    """The database lacks migrations that this release needs."""

    code = "schema_behind"

    def __init__(self, current: str | None, needed: str) -> None:
        super().__init__(current, needed)
        self.current = current
        self.needed = needed

    def __str__(self) -> str:
        found = self.current or "empty"
        return f"the database is at {found}, expected {self.needed}: run `stanchion migrate`"


def require_key(settings: Settings, name: str, addresses: Sequence[str]) -> None:
    """Raise SettingsError where strangers could reach an API that is open to everybody."""
    public = [address for address in addresses if not is_loopback(host_of(address))]
    if not public:
        return
    if not asks_for_key(settings):
        reason = f"expected a key, since STANCHION_{name.upper()} has a public address: {public[0]}"
        raise SettingsError("STANCHION_SECRET_KEY", reason)


def asks_for_key(settings: Settings) -> bool:
    """Say whether the API asks for a key: one was set, or one was made.

    Raises UnavailableError when none was set and the database does not answer.
    """
    from api.people.commands import has_keys  # noqa: PLC0415

    return settings.secret_key is not None or has_keys(settings)


def require_schema(settings: Settings) -> None:
    """Raise SchemaBehindError unless the database has what this release needs.

    A later schema will do: a migration leaves the release before it working.
    """
    from models import migrate as migrations  # noqa: PLC0415

    make_data_folder(settings)
    current, needed = migrations.current(settings.database_url), migrations.head()
    if current is None or current < needed:
        raise SchemaBehindError(current, needed)


def make_data_folder(settings: Settings) -> Path:
    """Make the data folder where there is none, and return an empty one in it.

    Raises SettingsError when that is impossible.
    """
    empty = settings.data_dir / _EMPTY_FOLDER
    try:
        empty.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{settings.data} cannot be used: {error.strerror}"
        raise SettingsError("STANCHION_DATA", reason) from None
    return empty
