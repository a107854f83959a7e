"""What `stanchion doctor` looks at: each check is a small function, and a room adds its own."""

from collections.abc import Mapping
from typing import Final

from api.doctor import machine, rooms, stores
from api.doctor.findings import Check, Finding, Level, fault
from models.errors import StanchionError
from models.redis import RedisAwayError
from models.settings import Settings

__all__ = ["CHECKS", "Finding", "Level", "examine"]

CHECKS: Final[tuple[Check, ...]] = (
    machine.check_settings,
    machine.check_data,
    stores.check_database,
    stores.check_redis,
    stores.check_broker,
    stores.check_workers,
    stores.check_outbox,
    rooms.check_rooms,
    machine.check_ports,
    machine.check_exim,
    machine.check_voice,
    stores.check_clock,
    machine.check_safety,
    machine.check_files,
)


def examine(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Run every check; one that cannot go on is a fault and the others follow."""
    findings: list[Finding] = []
    for check in CHECKS:
        subject = check.__name__.removeprefix("check_")
        try:
            findings += check(settings, environ)
        except (StanchionError, *RedisAwayError) as error:
            findings.append(fault(subject, " ".join(str(error).split())))
    return findings
