"""Branches and procedures over HTTP."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from falcon.asgi import Request, Response

from api.auth.access import Access
from api.openapi.operations import Answer, operation
from api.tickets import bodies as wire
from api.tickets import hall_bodies as halls
from api.tickets.callers import acting_of
from api.tickets.counters import HALL, TAKEN
from api.tickets.tickets import INVALID, REFUSALS, UNKNOWN
from models.errors import InvalidError
from models.tickets.hall_service import HallService
from models.tickets.hours import is_open
from models.tickets.refusals import BranchNotFoundError, ProcedureNotFoundError
from models.tickets.rules import Branch, Procedure

_BRANCH: Final = Answer(description="The branch", body=halls.BranchView)
_PROCEDURE: Final = Answer(description="The procedure", body=halls.ProcedureView)
_CHANGE: Final = {400: INVALID, **REFUSALS, 404: UNKNOWN, 409: TAKEN}
_NO_NAME: Final = {"name": "Required"}


class _Resource:
    def __init__(
        self,
        hall: HallService,
        access: Access,
        *,
        body_bytes_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.body_bytes_max = body_bytes_max
        self._hall: Final = hall
        self._access: Final = access
        self._now_ms: Final = now_ms

    def _branch(self, branch: Branch) -> halls.BranchView:
        return halls.branch_view(branch, is_open=is_open(branch, at_ms=self._now_ms()))

    async def _procedure(self, procedure: Procedure) -> halls.ProcedureView:
        counters = {each.id: each for each in await self._hall.counters()}
        return halls.procedure_view(procedure, counters)


class BranchesResource(_Resource):
    """`/branches`."""

    @operation(
        "List the branches",
        answers={200: Answer(description="The branches", body=halls.BranchList)},
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return the branches by age, and whether each hands out tickets now."""
        branches = await self._hall.branches()
        resp.data = wire.encode(halls.BranchList([self._branch(each) for each in branches]))

    @operation(
        "Make a branch",
        body=halls.BranchBody,
        body_example={"name": "Phường Bến Nghé", "timezone": "Asia/Ho_Chi_Minh"},
        answers={201: _BRANCH, **_CHANGE},
        security=HALL,
    )
    async def on_post(self, req: Request, resp: Response, *, body: halls.BranchBody) -> None:
        """Make a branch: a hall with a clock, opening hours and numbers of its own."""
        values = body.values()
        if "name" not in values:
            raise InvalidError(_NO_NAME)
        made = await self._hall.add_branch(
            values, acting_of(req, self._access.proxies), now_ms=self._now_ms()
        )
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(self._branch(made))


class BranchResource(_Resource):
    """`/branches/{branch_id}`."""

    @operation("Show a branch", answers={200: _BRANCH, 404: UNKNOWN})
    async def on_get(self, _req: Request, resp: Response, branch_id: str) -> None:
        """Return a branch."""
        if not wire.is_id(branch_id):
            raise BranchNotFoundError(branch_id)
        resp.data = wire.encode(self._branch(await self._hall.branch(int(branch_id))))

    @operation(
        "Change a branch",
        body=halls.BranchBody,
        body_example={"opening": {"mon": [["08:00", "11:30"], ["13:30", "17:00"]]}},
        answers={200: _BRANCH, **_CHANGE},
        security=HALL,
    )
    async def on_patch(
        self, req: Request, resp: Response, branch_id: str, *, body: halls.BranchBody
    ) -> None:
        """Change a branch; who counts, and from which number, holds from the next ticket on."""
        if not wire.is_id(branch_id):
            raise BranchNotFoundError(branch_id)
        changed = await self._hall.change_branch(
            int(branch_id),
            body.values(),
            acting_of(req, self._access.proxies),
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(self._branch(changed))


class ProceduresResource(_Resource):
    """`/procedures`."""

    @operation(
        "Look for procedures",
        query=halls.ProcedureQuery,
        answers={
            200: Answer(description="Procedures by name", body=halls.ProcedureList),
            400: INVALID,
        },
    )
    async def on_get(self, _req: Request, resp: Response, *, query: halls.ProcedureQuery) -> None:
        """Return procedures in whose name each word occurs, with or without accents."""
        found = await self._hall.procedures(search=query.search)
        counters = {each.id: each for each in await self._hall.counters()}
        wanted = query.counter_id
        resp.data = wire.encode(
            halls.ProcedureList(
                [
                    halls.procedure_view(each, counters)
                    for each in found
                    if (each.is_active or query.include_inactive)
                    and (wanted is None or wanted in (each.counter_ids or counters))
                ]
            )
        )

    @operation(
        "Make a procedure",
        body=halls.ProcedureBody,
        body_example={"name": "Chứng thực giấy tờ", "counter_ids": [1], "service_minutes": 8},
        answers={201: _PROCEDURE, **_CHANGE},
        security=HALL,
    )
    async def on_post(self, req: Request, resp: Response, *, body: halls.ProcedureBody) -> None:
        """Make a procedure, and say which counters do it."""
        values = body.values()
        if "name" not in values:
            raise InvalidError(_NO_NAME)
        made = await self._hall.save_procedure(
            None, values, acting_of(req, self._access.proxies), now_ms=self._now_ms()
        )
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(await self._procedure(made))


class ProcedureResource(_Resource):
    """`/procedures/{procedure_id}`."""

    @operation("Show a procedure", answers={200: _PROCEDURE, 404: UNKNOWN})
    async def on_get(self, _req: Request, resp: Response, procedure_id: str) -> None:
        """Return a procedure and where it is done."""
        if not wire.is_id(procedure_id):
            raise ProcedureNotFoundError(procedure_id)
        found = await self._hall.procedure(int(procedure_id))
        resp.data = wire.encode(await self._procedure(found))

    @operation(
        "Change a procedure",
        body=halls.ProcedureBody,
        body_example={"counter_ids": [1, 2]},
        answers={200: _PROCEDURE, **_CHANGE},
        security=HALL,
    )
    async def on_patch(
        self, req: Request, resp: Response, procedure_id: str, *, body: halls.ProcedureBody
    ) -> None:
        """Change a procedure; one that is not active is not offered any more."""
        if not wire.is_id(procedure_id):
            raise ProcedureNotFoundError(procedure_id)
        changed = await self._hall.save_procedure(
            int(procedure_id),
            body.values(),
            acting_of(req, self._access.proxies),
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(await self._procedure(changed))
