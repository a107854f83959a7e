"""What workers do for rooms: let visitors in, and take out of the lines who is silent."""

import structlog

from models.rooms import jobs
from models.rooms.rules import DOMAIN
from workers.app import Task, app

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="rooms.admit", bind=True)
def admit(self: Task) -> None:
    """Let the next visitors of each room in; a repeat admits nobody twice."""
    moved = jobs.admit(self.redis)
    if moved.recovered_room_ids:
        _log.warning("rooms_recovered", rooms=list(moved.recovered_room_ids))
    self.publish(DOMAIN, moved.events)


@app.task(name="rooms.expire", bind=True)
def expire(self: Task) -> None:
    """Take out of each line who was not heard of for the room's time-out."""
    self.publish(DOMAIN, jobs.expire(self.redis).events)
