"""Checks of the settings and of this machine."""

import asyncio
import os
import re
import resource
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Final

from api.doctor.findings import Finding, fault, ok, warn
from api.preconditions import asks_for_key
from api.supervisor.addresses import is_healthy, reachable
from models.mail.program import find_command
from models.secrets import secrets_path
from models.settings import Settings, given_settings, host_of, is_loopback, port_of
from models.tickets.espeak import OFF, find_program

FREE_BYTES_MIN: Final = 1_073_741_824
_KEY_LENGTH_MIN: Final = 16
# Files that a process needs beside its connections.
_OPEN_FILES_BESIDE: Final = 200
_CONNECT_TIMEOUT_S: Final = 1.0
_SECRET: Final = frozenset({"secret_key", "admin_key", "admin_password"})
_URL_PASSWORD: Final = re.compile(r"(://[^:/@]*):[^@/]*@")
# What manuals and examples have in their place.
_GUESSED: Final = frozenset(
    {
        *("admin", "administrator", "password", "secret", "changeme", "change-me", "stanchion"),
        *("12345678", "123456789", "1234567890", "qwertyui", "your-secret-key", "letmein"),
    }
)
_EVERYBODY: Final = frozenset({"0.0.0.0/0", "::/0", "*"})


def check_settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Tell each setting in force and where it came from."""
    given = given_settings(environ)
    has_secrets = secrets_path(settings.data_dir).exists()
    for field in fields(settings):
        value = getattr(settings, field.name)
        source = "environment" if field.name in given else "default"
        if field.name == "secret_key" and value is not None and source == "default":
            source = "environment, as SECRET_KEY"
        if field.name in {"admin_key", "admin_password"} and value is None and has_secrets:
            source, value = "data folder", "made at the first start"
        shown = _shown(field.name, value)
        yield ok("settings", f"STANCHION_{field.name.upper()} = {shown} ({source})")


def check_data(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether the data folder is there, its owner's alone, and has room."""
    data = settings.data_dir
    if not data.is_dir():
        yield warn("data", f"{data} does not exist", "the first start makes it")
        return
    mode = data.stat().st_mode & 0o777
    if mode & 0o077:
        yield warn("data", f"{data} has mode {mode:04o}", "chmod 0700, it holds secrets")
    elif not os.access(data, os.W_OK):
        yield fault("data", f"{data} cannot be written", "run as its owner")
    else:
        yield ok("data", f"{data} has mode 0700")
    free = shutil.disk_usage(data).free
    if free < FREE_BYTES_MIN:
        yield warn("data", f"{free // 1_048_576} MiB are free", "make room")


def check_ports(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See who listens on the addresses of the API and of Flower, and who can reach them."""
    for address in settings.bind:
        where = f"http://{address} ({_reach(address)})"
        if asyncio.run(is_healthy(address)):
            yield ok("ports", f"the API answers on {where}")
        elif _is_listening(address):
            yield fault("ports", f"{where} gives no healthy answer", "see the log of the API")
        else:
            yield fault("ports", f"nobody listens on {where}", "stanchion up, or stanchion api")
    where = f"http://{settings.flower_bind} ({_reach(settings.flower_bind)})"
    if _is_listening(settings.flower_bind):
        yield ok("ports", f"Flower listens on {where}")
    else:
        yield warn("ports", f"Flower does not listen on {where}", "stanchion flower")
    if _is_listening(settings.relay_bind):
        yield ok("ports", f"the relay listens on {settings.relay_bind}")
    else:
        yield ok("ports", "no relay listens, so what stays open stays with the API")


def check_exim(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether there is an Exim to look after."""
    command = find_command(settings.exim)
    if command is None:
        reason = "is off" if settings.exim else "is not installed here"
        yield ok("exim", f"{reason}, so there is no mail to look after")
    elif shutil.which(command[0]):
        yield ok("exim", f"is {shutil.which(command[0])}")
        yield from _exim_rights(command)
    else:
        yield fault("exim", f"{settings.exim!r} is no program", "see STANCHION_EXIM")


def check_voice(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether a worker on this machine can speak the calls of a hall."""
    program = find_program(settings.espeak)
    if program is not None:
        yield ok("voice", f"is {program}, of the workers here")
    elif settings.espeak == OFF:
        yield ok("voice", "espeak-ng is off: displays say calls by clips or voices of their own")
    else:
        advice = "install it where workers run (Debian: espeak-ng), or set STANCHION_ESPEAK=off"
        yield warn("voice", f"{settings.espeak or 'espeak-ng'} is not here", advice)


def _exim_rights(command: list[str]) -> Iterator[Finding]:
    """See whether who runs this may look after it, as `stanchion mail-watch` must."""
    # Only a mail host runs an Exim, and this module is loaded where none is.
    from workers.mail_host_check import look_at  # noqa: PLC0415

    for sight in look_at(command):
        if sight.is_good:
            yield ok("exim", sight.fact)
        else:
            advice = sight.advice or "see docs/mail-host.md"
            yield (fault if sight.is_needed else warn)("exim", sight.fact, advice)


def check_secrets(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether the secrets are their owner's alone, and not what everybody would try."""
    path = secrets_path(settings.data_dir)
    if path.exists():
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            told = f"{path} has mode {mode:04o}: others may read it"
            yield fault("secrets", told, "chmod 0600, then set new ones: others may know these")
        else:
            yield ok("secrets", f"{path} is its owner's alone")
    for name in ("admin_password", "admin_key", "secret_key"):
        value = getattr(settings, name)
        if value is not None and value.strip().lower() in _GUESSED:
            told = f"STANCHION_{name.upper()} is what everybody would try first"
            yield fault("secrets", told, "set another: `openssl rand -hex 32`")


def check_safety(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """Name choices that make an attack or an outage easy."""
    if settings.secret_key is not None and len(settings.secret_key) < _KEY_LENGTH_MIN:
        told = f"STANCHION_SECRET_KEY has less than {_KEY_LENGTH_MIN} characters"
        yield warn("safety", told, "make one: `openssl rand -hex 32`")
    if _reach(settings.flower_bind) == "public":
        yield warn("safety", "Flower is public, its password unencrypted", "put TLS before it")
    if _EVERYBODY & set(settings.trusted_proxies):
        told = "STANCHION_TRUSTED_PROXIES trusts everybody's word on addresses"
        yield warn("safety", told, "name your proxies alone")
    if "*" in settings.cors_origins:
        told = "STANCHION_CORS_ORIGINS lets every web page in"
        yield warn("safety", told, "name the origins of your pages")
    if os.geteuid() == 0:
        yield warn("safety", "this runs as root", "use a user of its own")
    # Last, since it asks the database, which may be away.
    exposed = [a for a in (*settings.bind, settings.relay_bind) if _reach(a) == "public"]
    if exposed and not asks_for_key(settings):
        advice = "set STANCHION_SECRET_KEY, or make one: `stanchion key add`"
        yield fault("safety", f"{exposed[0]} is public without a key", advice)


def check_files(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether as many files may be open as there may be connections."""
    needed = settings.connections_max + _OPEN_FILES_BESIDE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        told = f"{hard} may be open, STANCHION_CONNECTIONS_MAX needs {needed}"
        yield warn("files", told, "raise the limit (ulimit -Hn, LimitNOFILE)")
    else:
        yield ok("files", f"{needed} may be open")


def _shown(name: str, value: object) -> str:
    """Return a setting as it may be shown to whoever looks over a shoulder."""
    if value is None or value in {"", ()}:
        return "none"
    if name in _SECRET and not str(value).startswith("made at"):
        return "set, not shown"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return _URL_PASSWORD.sub(r"\1:***@", str(value))


def _reach(address: str) -> str:
    return "this machine only" if is_loopback(host_of(address)) else "public"


def _is_listening(address: str) -> bool:
    where = reachable(address)
    try:
        with socket.create_connection((host_of(where), port_of(where)), _CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False
