#!/opt/stanchion/bin/python -I
"""Say by the exit code whether the process of this container is well: `stanchion-health ROLE`.

The API, the relay and Flower are asked over HTTP; worker and beat have no address, so their signs
of life in Redis count.
"""

import os
import socket
import sys
import urllib.request

from models.clock import now_ms
from models.redis import connect
from models.settings import Settings, host_of, load_settings, port_of
from models.vitals import WORKER_SILENT_MS_MAX, Health, beat_health, read_vitals

_TIMEOUT_S = 5
_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def main() -> int:
    """Ask; 0 when all is well, 1 when not, 2 for a role that does not exist."""
    role = sys.argv[1] if len(sys.argv) > 1 else "api"
    settings = load_settings(os.environ)
    checks = {
        "api": lambda: _answers(settings.bind[0], "/health"),
        "relay": lambda: _answers(settings.relay_bind, "/health"),
        "flower": lambda: _answers(settings.flower_bind, "/healthcheck"),
        "worker": lambda: _worker_lives(settings),
        "beat": lambda: _beat_ticks(settings),
    }
    if role not in checks:
        print(f"stanchion-health: {role}: expected one of {', '.join(checks)}", file=sys.stderr)
        return 2
    try:
        is_well = checks[role]()
    except Exception as error:  # noqa: BLE001 (whatever it is, all is not well)
        print(f"stanchion-health: {role}: {error}", file=sys.stderr)
        return 1
    return 0 if is_well else 1


def _answers(address: str, path: str) -> bool:
    host = _EVERY_INTERFACE.get(host_of(address), host_of(address))
    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{port_of(address)}{path}"
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
        return bool(answer.status == 200)


def _worker_lives(settings: Settings) -> bool:
    """Say whether a worker of this machine's name was heard of lately."""
    here = socket.gethostname()
    with connect(settings.redis_url) as client:
        seen = read_vitals(client).worker_seen_at_ms
    return any(
        now_ms() - at_ms <= WORKER_SILENT_MS_MAX
        for name, at_ms in seen.items()
        if name.rpartition("@")[2] == here
    )


def _beat_ticks(settings: Settings) -> bool:
    """Say whether some beat leads; one that waits for its turn gives no sign."""
    with connect(settings.redis_url) as client:
        return beat_health(read_vitals(client), now_ms=now_ms()) is Health.HEALTHY


if __name__ == "__main__":
    sys.exit(main())
