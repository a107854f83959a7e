"""What an operator may set. Field `body_bytes_max` is read from STANCHION_BODY_BYTES_MAX.

An empty variable counts as unset; an unknown STANCHION_ variable is an error, so that a slip of
the pen cannot leave a default in force unseen.
"""

import difflib
import hashlib
import ipaddress
import os
import tempfile
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta

from models.addresses import parse_networks
from models.errors import StanchionError

PREFIX: Final = "STANCHION_"
_CHECKOUT: Final = Path(__file__).resolve().parent.parent
# A unix socket's path is limited to 107 bytes by the kernel; the rest is room for a temporary name.
_SOCKET_PATH_BYTES_MAX: Final = 100
_PORT_MAX: Final = 65_535

PlainName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
VoiceName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_+-]{0,63}$")]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
WholeSeconds = Annotated[int, Meta(ge=1, le=31_536_000)]
Bytes = Annotated[int, Meta(ge=1_024, le=1_073_741_824)]


class SettingsError(StanchionError):
    """A setting is unknown, malformed or unsafe; `name` is the variable."""

    code = "settings"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator may set, checked; `docs/settings.md` lists each with its meaning."""

    # Where it listens and who may call
    bind: tuple[str, ...] = ("127.0.0.1:8080",)
    relay_bind: str = "127.0.0.1:8081"
    flower_bind: str = "127.0.0.1:5555"
    secret_key: str | None = None
    admin_key: str | None = None
    admin_password: str | None = None
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    cors_origins: tuple[str, ...] = ()

    # Stores and programs; the embedded defaults live in `data`
    data: str = ""
    database_url: str = ""
    redis_url: str = ""
    broker_url: str = ""
    redis_server: str = ""
    exim: str = ""
    espeak: str = ""
    timezone: str = ""

    # Logs
    otlp_url: str = ""
    trace_share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    log_format: Literal["", "text", "json"] = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    # Processes
    web_concurrency: Annotated[int, Meta(ge=1, le=64)] = 1
    worker_threads: Annotated[int, Meta(ge=1, le=256)] = 8
    stop_timeout_s: Annotated[int, Meta(ge=1, le=10)] = 8
    keep_alive_s: Annotated[int, Meta(ge=1, le=3600)] = 75
    connections_max: Count = 20_000

    # Database
    database_connections_max: Annotated[int, Meta(ge=4, le=200)] = 12
    database_timeout_s: Seconds = 10.0

    # Requests
    body_bytes_max: Bytes = 1_048_576
    batch_body_bytes_max: Bytes = 16_777_216

    # Messages
    batch_messages_max: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    list_messages_max: Annotated[int, Meta(ge=1, le=10_000)] = 500
    list_depth_max: Count = 10_000
    list_looked_max: Count = 20_000
    list_bytes_max: Bytes = 8_388_608
    long_poll_max_s: Annotated[int, Meta(ge=0, le=3600)] = 60
    long_polls_max: Count = 10_000
    stream_prefetch_max: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    lease_max_s: WholeSeconds = 43_200
    dedup_s: WholeSeconds = 300
    idempotency_s: WholeSeconds = 86_400
    attempts_max: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    flush_rows_max: Annotated[int, Meta(ge=1, le=10_000)] = 500
    flush_waiting_max: Count = 10_000
    archive_after_s: WholeSeconds = 86_400
    delete_after_s: WholeSeconds = 604_800
    anomaly_waiting_s: WholeSeconds = 900
    anomaly_failures_max: Annotated[int, Meta(ge=1, le=10_000)] = 5
    history_keep_s: WholeSeconds = 604_800
    history_rows_max: Annotated[int, Meta(ge=1_000, le=1_000_000_000)] = 1_000_000
    history_events_per_s_max: Annotated[int, Meta(ge=0, le=100_000)] = 5_000
    schedules_max: Count = 1_000

    # Rooms
    rooms_max: Count = 1_000
    session_parameter: PlainName = "stanchion_session"  # of a site's address, for the admitted
    room_samples_keep_s: WholeSeconds = 2_592_000
    room_visitors_keep_s: WholeSeconds = 604_800
    room_notes_max: Count = 100_000
    visitor_tokens_kept_max: Count = 200_000

    # Webhooks
    webhook_networks: tuple[str, ...] = ()
    webhooks_at_once_max: Annotated[int, Meta(ge=1, le=256)] = 4

    # Mail
    mail_threads: Annotated[int, Meta(ge=1, le=64)] = 8
    mail_ids_max: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    mail_answer_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    mail_export_max: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    mail_filter_max: Annotated[int, Meta(ge=1, le=100_000)] = 20_000
    mail_filter_expires_s: WholeSeconds = 900
    mail_dialogue_keep_s: WholeSeconds = 86_400
    mail_operations_keep_s: WholeSeconds = 2_592_000
    mail_alarm_messages: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 1_000
    mail_alarm_frozen: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 100
    mail_alarm_age_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 14_400
    mail_alarm_silence_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 60
    mail_body_bytes_max: Annotated[int, Meta(ge=1_024, le=10_485_760)] = 262_144
    mail_samples_keep_s: WholeSeconds = 2_592_000
    mail_log_keep_s: WholeSeconds = 2_592_000
    mail_log_lines_max: Annotated[int, Meta(ge=1_000, le=1_000_000_000)] = 1_000_000

    # Tickets
    tickets_keep_s: WholeSeconds = 31_536_000
    ticket_close_after_s: Annotated[int, Meta(ge=0, le=86_400)] = 3_600
    clip_bytes_max: Annotated[int, Meta(ge=1_024, le=10_485_760)] = 524_288
    clips_max: Annotated[int, Meta(ge=1, le=10_000)] = 500
    voice_vi: VoiceName = "vi"
    voice_en: VoiceName = "en"
    voice_answer_s: Annotated[float, Meta(gt=0, le=10)] = 3.0
    voices_at_once_max: Annotated[int, Meta(ge=1, le=64)] = 2
    voices_kept_max: Annotated[int, Meta(ge=1, le=10_000)] = 100

    # People
    session_s: WholeSeconds = 86_400
    token_s: WholeSeconds = 43_200
    token_key_s: WholeSeconds = 2_592_000
    login_failures_max: Count = 5
    login_address_failures_max: Count = 20
    login_lock_s: WholeSeconds = 30
    login_lock_max_s: WholeSeconds = 900
    audit_keep_s: WholeSeconds = 31_536_000

    # How often somebody may ask, by name; limit_subjects_max is of each process
    logins_per_minute_max: Count = 30
    tickets_per_minute_max: Count = 5
    ticket_changes_per_minute_max: Count = 30
    waiting_lists_per_minute_max: Count = 60
    voices_per_minute_max: Count = 1_200
    joins_per_minute_max: Count = 10
    looks_per_minute_max: Count = 60
    heartbeats_per_minute_max: Count = 30
    session_acts_per_minute_max: Count = 100
    visitor_requests_per_minute_max: Count = 120
    room_admin_per_minute_max: Count = 100
    limit_subjects_max: Count = 100_000

    # Events to live clients
    events_kept_max: Count = 10_000
    event_readers_max: Count = 10_000
    event_buffer_max: Count = 10_000
    sockets_max: Count = 10_000
    socket_message_bytes_max: Annotated[int, Meta(ge=1_024, le=65_536)] = 16_384
    socket_messages_per_s: Annotated[int, Meta(ge=1, le=1_000)] = 20
    socket_replay_max: Count = 1_000
    socket_buffer_bytes_max: Bytes = 1_048_576
    socket_authentication_timeout_s: Seconds = 10.0
    live_recheck_s: Seconds = 10.0

    # Outbox
    outbox_resend_after_s: WholeSeconds = 10
    outbox_attempts_max: Annotated[int, Meta(ge=1, le=1_000)] = 20

    @property
    def data_dir(self) -> Path:
        """Return the folder that the embedded default writes to."""
        return Path(self.data)

    @property
    def is_public(self) -> bool:
        """Say whether the API listens on anything but loopback."""
        return not all(is_loopback(host_of(address)) for address in self.bind)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Build the settings from the environment.

    Reads the plain SECRET_KEY of the messages contract too. Raises SettingsError for an unknown
    variable or a value of the wrong form.
    """
    given = given_settings(environ)
    unknown = sorted(set(given) - {field.name for field in fields(Settings)})
    if unknown:
        raise SettingsError(_variable(unknown[0]), _unknown_reason(unknown[0]))
    raw: dict[str, object] = {
        name: _split(value) if name in _LISTS else value for name, value in given.items()
    }
    if "secret_key" not in raw and environ.get("SECRET_KEY"):
        raw["secret_key"] = environ["SECRET_KEY"]
    data = str(Path(str(raw.get("data") or _default_data(environ))).expanduser().resolve())
    raw["data"] = data
    raw.setdefault("database_url", f"sqlite:///{data}/stanchion.db")
    raw.setdefault("redis_url", f"unix://{redis_socket_path(data)}?db=0")
    raw.setdefault("broker_url", raw["redis_url"])
    settings = _convert(raw)
    _check(settings)
    return settings


def given_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the environment sets, by field name; empty values count as unset."""
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and value != ""
    }


def redis_socket_path(data: str) -> str:
    """Return where the embedded Redis listens: in the data folder, unless that path is too long."""
    path = f"{data}/redis.sock"
    if len(path.encode()) <= _SOCKET_PATH_BYTES_MAX:
        return path
    digest = hashlib.sha256(data.encode()).hexdigest()[:12]
    return f"{tempfile.gettempdir()}/stanchion-{os.getuid()}-{digest}/redis.sock"


def host_of(address: str) -> str:
    """Return the host of `host:port`, without the brackets of an IPv6 address."""
    return address.rpartition(":")[0].strip("[]")


def port_of(address: str) -> int:
    """Return the port of `host:port`."""
    return int(address.rpartition(":")[2])


def is_loopback(host: str) -> bool:
    """Say whether a host name or address reaches this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name; other names than this one may be pointed at loopback by anybody
        return host == "localhost"


def _default_data(environ: Mapping[str, str]) -> str:
    if (_CHECKOUT / "pyproject.toml").exists():
        return str(_CHECKOUT / "var")
    base = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return f"{base}/stanchion"


def _convert(raw: dict[str, object]) -> Settings:
    try:
        return msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.split("[")[0].rstrip("`")
        secret = name in {"secret_key", "admin_key", "admin_password"}
        got = "" if secret else f", got {raw.get(name)!r}"
        raise SettingsError(_variable(name), f"{reason[:1].lower()}{reason[1:]}{got}") from None


def _check(settings: Settings) -> None:
    for name in ("bind", "relay_bind", "flower_bind"):
        value = getattr(settings, name)
        for address in (value,) if isinstance(value, str) else value:
            _check_address(name, address)
    if not settings.bind:
        raise SettingsError(_variable("bind"), "expected at least one host:port")
    if settings.timezone:
        _check_timezone(settings.timezone)
    for name, (starts, expected) in _URLS.items():
        if not getattr(settings, name).startswith(starts):
            raise SettingsError(_variable(name), f"expected {expected}")
    for name in ("trusted_proxies", "webhook_networks"):
        _check_networks(name, getattr(settings, name))
    _check_limits(settings)


def _check_networks(name: str, texts: tuple[str, ...]) -> None:
    try:
        parse_networks(texts)
    except ValueError as error:
        raise SettingsError(_variable(name), str(error)) from None


def _check_limits(settings: Settings) -> None:
    if settings.batch_messages_max > settings.flush_waiting_max:
        raise SettingsError(_variable("batch_messages_max"), "expected at most FLUSH_WAITING_MAX")
    if settings.delete_after_s < settings.archive_after_s:
        raise SettingsError(_variable("delete_after_s"), "expected at least ARCHIVE_AFTER_S")


def _check_timezone(name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        reason = f"expected a name such as Europe/Berlin, got {name!r}"
        raise SettingsError(_variable("timezone"), reason) from None


def _check_address(name: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= _PORT_MAX:
        raise SettingsError(_variable(name), f"expected host:port, got {address!r}")


def _unknown_reason(name: str) -> str:
    near = difflib.get_close_matches(name, [field.name for field in fields(Settings)], n=1)
    return "unknown setting" + (f"; did you mean {_variable(near[0])}?" if near else "")


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


_REDIS: Final = ("unix://", "redis://", "rediss://")
_URLS: Final = {
    # Each process has a working folder of its own, so a file's path must be absolute.
    "database_url": (
        ("sqlite:////", "postgresql://"),
        "sqlite:////absolute/path or postgresql://…",
    ),
    "redis_url": (_REDIS, "unix://…, redis://… or rediss://…"),
    "broker_url": ((*_REDIS, "amqp://", "amqps://"), "a Redis address or amqp://…"),
}
_LISTS: Final = {name for name, hint in get_type_hints(Settings).items() if hint == tuple[str, ...]}
