"""The application as the server imports it: reads the environment and opens the stores."""

import functools
import os
from importlib.metadata import version
from typing import Final

from api.app import Application, Stores
from api.health import BrokerCheck, broker_answers
from models import redis
from models.clock import now_ms
from models.database import Database
from models.secrets import ensure_secrets
from models.settings import Settings, load_settings
from models.tracing import tracing
from workers.app import configure

# Processes that write at the same time count in rows of their own, if their numbers differ; two
# with the same number are right too, and wait for each other now and then.
_PROCESSES: Final = 32


def _make() -> Application:
    settings = load_settings(os.environ)
    configure(settings)  # where tasks are sent to
    tracing.set_up(
        settings.otlp_url, role="api", version=version("stanchion"), share=settings.trace_share
    )
    return Application(
        settings,
        ensure_secrets(settings),
        Stores(
            database=Database(
                settings.database_url,
                connections_max=settings.database_connections_max,
                timeout_s=settings.database_timeout_s,
            ),
            redis=redis.connect_async(settings.redis_url),
            redis_for_waiting=redis.connect_async(settings.redis_url, answer_timeout_s=None),
        ),
        process=os.getpid() % _PROCESSES,
        now_ms=now_ms,
        version=version("stanchion"),
        broker_check=_broker_check(settings),
        is_multiprocess="PROMETHEUS_MULTIPROC_DIR" in os.environ,
    )


def _broker_check(settings: Settings) -> BrokerCheck | None:
    """Return how to ask a broker that is not the Redis of events, which is asked anyway."""
    if settings.broker_url == settings.redis_url:
        return None
    return functools.partial(broker_answers, redis.broker_url(settings.broker_url))


app: Final = _make()
