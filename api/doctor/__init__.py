"""What `stanchion doctor` looks at: each check is a small function, and a room adds its own."""

from collections.abc import Mapping
from typing import Final

from kombu.exceptions import OperationalError

from api.doctor import machine, reach, rooms, stores, work
from api.doctor.findings import Check, Finding, Level, fault
from models.errors import StanchionError
from models.redis import RedisAwayError
from models.settings import Settings

__all__ = ["CHECKS", "Finding", "Level", "examine"]

CHECKS: Final[tuple[Check, ...]] = (
    machine.check_settings,
    machine.check_data,
    machine.check_secrets,
    stores.check_database,
    stores.check_redis,
    stores.check_broker,
    stores.check_workers,
    work.check_queues,
    stores.check_outbox,
    rooms.check_rooms,
    machine.check_ports,
    machine.check_exim,
    machine.check_voice,
    work.check_mail,
    stores.check_clock,
    machine.check_safety,
    reach.check_proxy,
    machine.check_files,
)

_AWAY: Final = "start it, or correct its address in the settings; this check comes after that"


def examine(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Run every check; one that cannot go on is a fault and the others follow."""
    findings: list[Finding] = []
    for check in CHECKS:
        subject = check.__name__.removeprefix("check_")
        try:
            findings += check(settings, environ)
        except (StanchionError, OperationalError, OSError, *RedisAwayError) as error:
            findings.append(fault(subject, " ".join(str(error).split()), _AWAY))
    return findings
