"""The processes that `stanchion` starts: each runs until it is stopped.

Each imports what it needs when it runs, so that `--help` and `version` answer at once.
"""

import argparse
import logging
import os
import resource
import sys
import warnings
from collections.abc import MutableMapping
from typing import Final

from api.http.metrics_folder import claim_metrics_folder
from api.preconditions import make_data_folder, require_key, require_schema
from models.settings import Settings, SettingsError, host_of, port_of

_RELAY_STOP_S: Final = 2
# More connections than a shell's usual limit of open files lets through.
_OPEN_FILES_MAX: Final = 65_536

Environ = MutableMapping[str, str]


def up(settings: Settings, environ: Environ, _options: argparse.Namespace) -> int:
    """Run everything here, in the foreground."""
    import asyncio  # noqa: PLC0415

    from api.supervisor import prepare_data_folder, supervise  # noqa: PLC0415

    require_key(settings, "bind", settings.bind)
    prepare_data_folder(settings.data_dir)
    color = sys.stdout.isatty() and not environ.get("NO_COLOR")
    return asyncio.run(supervise(settings, environ, color=color))


def api(settings: Settings, environ: Environ, _options: argparse.Namespace) -> int:
    """Run the HTTP API alone."""
    require_key(settings, "bind", settings.bind)
    _serve(settings, environ, settings.bind, settings.web_concurrency, settings.stop_timeout_s)
    return 0


def relay(settings: Settings, environ: Environ, _options: argparse.Namespace) -> int:
    """Run the API for what stays open: one process, which holds event streams and long polls."""
    require_key(settings, "relay_bind", (settings.relay_bind,))
    _serve(settings, environ, (settings.relay_bind,), 1, _RELAY_STOP_S)
    return 0


def worker(settings: Settings, environ: Environ, options: argparse.Namespace) -> int:
    """Run a Celery worker."""
    require_schema(settings)
    _enter_empty_folder(settings, environ)
    return _celery(
        *("-A", "workers.main", "worker", "--pool=threads", "--without-gossip"),
        *("--without-mingle", f"--concurrency={settings.worker_threads}"),
        *(f"--queues={options.queues}", f"--hostname={options.name}@%h"),
        f"--loglevel={settings.log_level}",
    )


def beat(settings: Settings, environ: Environ, _options: argparse.Namespace) -> int:
    """Run Celery beat, which says when; any number may run, and one leads."""
    require_schema(settings)
    _enter_empty_folder(settings, environ)
    return _celery("-A", "beat.main", "beat", "--pidfile=", f"--loglevel={settings.log_level}")


def flower(settings: Settings, environ: Environ, _options: argparse.Namespace) -> int:
    """Run Flower, which shows what the workers do."""
    import flower.options  # noqa: F401, PLC0415  # declares what is set below
    from tornado.options import options  # noqa: PLC0415

    from models.secrets import ensure_secrets  # noqa: PLC0415

    _enter_empty_folder(settings, environ)
    # Set here, since a command line and an environment can be read by others.
    options.basic_auth = [f"admin:{ensure_secrets(settings).admin_password}"]
    _set_up_log(settings)
    # It warns of every question that no worker answers, so for as long as none is up.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
    return _celery(
        *("-A", "workers.main", "flower", "--max-tasks=5000", "--logging=none"),
        f"--address={host_of(settings.flower_bind)}",
        f"--port={port_of(settings.flower_bind)}",
    )


def mail_watch(settings: Settings, environ: Environ, options: argparse.Namespace) -> int:
    """Watch the Exim of this machine and act on it; needs the broker, and no database."""
    from models.mail.rules import task_queue_of  # noqa: PLC0415
    from workers import mail_host  # noqa: PLC0415
    from workers.app import app, configure  # noqa: PLC0415

    configure(settings, confined_to=task_queue_of(options.host))
    if options.check:
        from api.mail.host_commands import check_host  # noqa: PLC0415

        return check_host(settings, options.host, as_json=options.json)
    if not mail_host.set_up(options.host, settings.exim):
        raise SettingsError("STANCHION_EXIM", "there is no Exim on this machine")
    _enter_empty_folder(settings, environ)
    warnings.filterwarnings("ignore", "You're running the worker with superuser", UserWarning)
    started = mail_host.arguments(
        options.host, log_level=settings.log_level, threads=settings.mail_threads
    )
    app.worker_main(["--quiet", *started])
    return 0


def _serve(
    settings: Settings, environ: Environ, bind: tuple[str, ...], workers: int, stop_timeout_s: int
) -> None:
    require_schema(settings)
    _enter_empty_folder(settings, environ)
    _share_metrics(settings, environ, workers)
    _raise_open_files()
    _set_up_log(settings)
    from api.server import serve  # noqa: PLC0415

    serve(settings, bind=bind, workers=workers, stop_timeout_s=stop_timeout_s)


def _set_up_log(settings: Settings) -> None:
    from models.log import set_up_log  # noqa: PLC0415

    form = settings.log_format or ("text" if sys.stderr.isatty() else "json")
    set_up_log(form, settings.log_level)


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _share_metrics(settings: Settings, environ: Environ, workers: int) -> None:
    """Let the processes of this server count together, in files that start empty."""
    environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if workers > 1:
        folder = claim_metrics_folder(settings.data_dir / "metrics")
        environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _enter_empty_folder(settings: Settings, environ: Environ) -> None:
    """Leave the current folder; what is derived from it is passed on in full."""
    empty = make_data_folder(settings)
    environ["STANCHION_DATA"] = settings.data
    os.chdir(empty)


def _celery(*arguments: str) -> int:
    """Run Celery's own program in this process; it exits by itself."""
    from celery.__main__ import main as celery  # noqa: PLC0415

    # Its advice on root, in a dozen lines; `stanchion doctor` says it in one.
    warnings.filterwarnings("ignore", "You're running the worker with superuser", UserWarning)
    sys.argv = ["celery", "--quiet", *arguments]
    celery()
    return 0
