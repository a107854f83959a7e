"""The whole house, started as an operator starts it."""

import httpx

from tests.servers import System, wait_until


def test_health_sees_every_component(http: httpx.Client, system: System) -> None:
    def healthy() -> dict[str, str] | None:
        components: dict[str, str] = http.get("/api/v1/health").json()["components"]
        return components if set(components.values()) == {"healthy"} else None

    components = wait_until(healthy, "all are healthy", process=system.running["api"])
    assert components.keys() >= {"database", "redis", "broker", "workers", "beat"}
