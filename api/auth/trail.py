"""Who does what to messages: noted by the service itself, or by the trail after it is done."""

from collections.abc import Callable
from typing import Any, Final

from falcon.asgi import Request, Response

from api.auth.callers import actor_of, caller_of
from api.http.caller import Proxies
from models.audit import Change, Signature
from models.people.service import PeopleService

_REFUSED_FROM: Final = 400


def signature_of(req: Request) -> Signature:
    """Return who asks and by which name it is noted, on a path whose service notes it itself."""
    signature: Signature = req.context.signature
    return signature


class Trail:
    """Notes each request of a user that a row of the table wants noted; Falcon middleware."""

    def __init__(
        self, people: PeopleService, proxies: Proxies, *, now_ms: Callable[[], int]
    ) -> None:
        self._people: Final = people
        self._proxies: Final = proxies
        self._now_ms: Final = now_ms

    async def process_response(
        self,
        req: Request,
        resp: Response,
        _resource: Any,
        _succeeded: bool,  # noqa: FBT001
    ) -> None:
        """Note what was done; what was refused changed nothing."""
        action = getattr(req.context, "action", None)
        if action is None or resp.status_code >= _REFUSED_FROM or caller_of(req).user is None:
            return
        change = Change(action=action, target=req.path[:200], details={"method": req.method})
        await self._people.note(actor_of(req, self._proxies), change, now_ms=self._now_ms())
