"""What a person reads when everything is up."""

from collections.abc import Iterator
from typing import Final

from api.supervisor.addresses import reachable
from models.secrets import Secrets, secrets_path
from models.settings import Settings

# Path and what is there; a room adds its pages.
_PAGES: Final = (
    ("/             ", "what runs here, live"),
    ("/ops          ", "the console: what needs a person first"),
    ("/api/reference", "every request, to read and to try"),
)


def welcome(settings: Settings, secrets: Secrets, *, took_s: float) -> Iterator[str]:
    """Yield one line; on the first start of a data folder all that a newcomer needs."""
    url = f"http://{reachable(settings.bind[0])}"
    seen = settings.data_dir / "welcomed"
    if seen.exists():
        yield f"ready: {url} (after {took_s:.1f} s)"
        return
    seen.touch()
    yield ""
    yield f"Stanchion is ready on {url} (after {took_s:.1f} s). Ctrl-C stops it."
    yield ""
    for path, what in _PAGES:
        yield f"  {url}{path}  {what}"
    yield f"  http://{reachable(settings.flower_bind)}  what the workers do (user admin)"
    yield ""
    if settings.admin_password is None:
        yield f"  password of user admin: {secrets.admin_password}"
    if settings.admin_key is None:
        yield f"  admin key:              {secrets.admin_key}"
    if settings.admin_password is None or settings.admin_key is None:
        yield f"  (kept in {secrets_path(settings.data_dir)}, and not shown again)"
        yield ""
    yield "Send a first message, and receive it:"
    yield ""
    key = ' -H "X-API-KEY: $STANCHION_SECRET_KEY"' if settings.secret_key else ""
    yield f"  curl{key} {url}/api/queue/message \\"
    yield '    -H \'Content-Type: application/json\' -d \'{"payload": {"hello": "world"}}\''
    yield f"  curl{key} {url}/api/queue/message"
    yield ""
