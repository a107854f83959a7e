"""The contract's table of limits, as it is in force unless somebody sets other ones."""

import pytest

from api.auth.limits import TABLE, By, Row
from api.http.paths import PathTable
from models.settings import load_settings


@pytest.mark.parametrize(
    ("method", "path", "limit", "by"),
    [
        ("POST", "/api/v1/queues/sale/enqueue", 10, By.ADDRESS),
        ("GET", "/api/v1/queues/sale/status", 60, By.TOKEN),
        ("POST", "/api/v1/queues/sale/heartbeat", 30, By.TOKEN),
        ("POST", "/api/v1/sessions/s/activity", 100, By.TOKEN),
        ("POST", "/api/v1/admin/queues", 100, By.KEY),
        ("PATCH", "/api/v1/admin/queues/sale", 100, By.KEY),
        ("GET", "/api/v1/admin/queues/sale/stats", 100, By.KEY),
        ("DELETE", "/api/v1/admin/sessions/s", 100, By.KEY),
        # Where the table says nothing: the general one.
        ("DELETE", "/api/v1/queues/sale/position", 120, By.TOKEN),
        ("GET", "/api/v1/sessions/s", 120, By.TOKEN),
        # What a browser asks before a request does not count as one.
        ("OPTIONS", "/api/v1/queues/sale/enqueue", 120, By.TOKEN),
    ],
)
def test_limits_are_those_of_the_table(method: str, path: str, limit: int, by: By) -> None:
    settings = load_settings({})
    table = PathTable[Row]()
    for row in TABLE:
        for each in row.paths:
            table.add(each, row.methods, row)

    found = table.find(path, method)

    assert found is not None
    assert (getattr(settings, found.setting), found.by) == (limit, by)
