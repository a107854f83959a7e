"""Who acts at a counter, as the request shows it."""

from typing import Final

from falcon.asgi import Request

from api.auth.callers import Caller, actor_of, caller_of
from api.http.caller import Proxies
from models.people.rules import Role
from models.tickets.acting import Acting
from models.tickets.rules import Staff

_STAFF: Final = (Role.ADMIN, Role.SUPERVISOR, Role.OFFICER)


def acting_of(req: Request, proxies: Proxies) -> Acting:
    """Return who was let through: a user of the house, or a program by its key."""
    return Acting(staff=staff_of(caller_of(req)), actor=actor_of(req, proxies))


def staff_of(caller: Caller) -> Staff:
    """Return a caller in the words of tickets; an officer is bound to the own counter."""
    user = caller.user
    if user is None:
        return Staff(user_id=None, username="" if caller.key is None else caller.key.name)
    return Staff(
        user_id=user.id,
        username=user.username,
        full_name=user.full_name,
        counter_id=user.counter_id,
        is_bound=user.role is Role.OFFICER,
    )


def is_staff(caller: Caller | None) -> bool:
    """Say whether somebody may read what officers wrote."""
    return caller is not None and caller.user is not None and caller.user.role in _STAFF
