"""One signed request to a receiver, and what came of it. Blocks; safe in several threads."""

import ssl
import time
from collections.abc import Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final, Self
from urllib.parse import urlsplit

import httpcore

from models.addresses import Network
from models.webhooks import signing
from models.webhooks.connecting import Deadline, GuardedBackend, Resolver, resolve
from models.webhooks.parcels import Parcel
from models.webhooks.rules import Answer, Webhook

# More than an answer needs to say why; the connection of a receiver that says more is closed.
ANSWER_BYTES_MAX: Final = 16_384
# A receiver closes what rests; one that was closed this moment would look like a failure.
_REST_S: Final = 2.0
_USER_AGENT: Final = "Stanchion"
_WORDS: Final[dict[type[Exception], str]] = {
    httpcore.NetworkError: "the connection broke",
    httpcore.ConnectError: "could not connect",
    httpcore.ProtocolError: "the answer is no HTTP",
}
_contexts: Final[list[ssl.SSLContext]] = []  # one for the process: it reads 300 kB of certificates


class Sender:
    """Sends to one webhook's receiver, over connections that are kept meanwhile; close it."""

    def __init__(
        self,
        webhook: Webhook,
        networks: Sequence[Network],
        *,
        resolver: Resolver = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`networks` may be asked besides public ones; by default the machine's names and trust."""
        self._webhook: Final = webhook
        self._deadline: Final = Deadline()
        self._pool: Final = httpcore.ConnectionPool(
            ssl_context=ssl_context or _ssl_context(),
            max_connections=webhook.settings.concurrency,
            keepalive_expiry=_REST_S,
            network_backend=GuardedBackend(networks, self._deadline, resolver),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def send(self, parcel: Parcel, *, now_ms: int) -> Answer:
        """Send one request and return what came of it, within the webhook's time; never raises.

        Redirects are not followed, cookies not kept, proxies not asked.
        """
        started_s = time.monotonic()
        try:
            with self._deadline.of(self._webhook.settings.timeout_s):
                answer = self._send(parcel, now_ms)
        except (httpcore.TimeoutException, TimeoutError):
            timeout_s = self._webhook.settings.timeout_s
            answer = Answer(status=None, error=f"no answer within {timeout_s} s")
        except Exception as error:  # noqa: BLE001  # whatever the other side did, the message lives on
            answer = Answer(status=None, error=_words_of(error))
        return replace(answer, took_ms=int((time.monotonic() - started_s) * 1000))

    def _send(self, parcel: Parcel, now_ms: int) -> Answer:
        url = self._webhook.settings.url
        headers = self._headers(parcel, now_ms)
        # The pool's own wait has no deadline of a thread, so it gets one here.
        timeouts = {"pool": self._deadline.left_s(httpcore.PoolTimeout)}
        with self._pool.stream(
            "POST", url, headers=headers, content=parcel.body, extensions={"timeout": timeouts}
        ) as response:
            said = _first_of(response)
            return Answer(
                status=response.status,
                error=None,
                body=said.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}"),
                retry_after_s=_retry_after_s(response.headers, now_ms),
            )

    def _headers(self, parcel: Parcel, now_ms: int) -> list[tuple[bytes | str, bytes | str]]:
        webhook = self._webhook
        timestamp_s = now_ms // 1000
        signature = signing.sign(
            webhook.secrets.in_force(now_ms),
            webhook_id=parcel.webhook_id,
            timestamp_s=timestamp_s,
            body=parcel.body,
        )
        given = webhook.settings.headers
        agent = [] if any(name.lower() == "user-agent" for name in given) else [_USER_AGENT]
        return [
            ("Host", urlsplit(webhook.settings.url).netloc),
            *(("User-Agent", each) for each in agent),
            *given.items(),
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(parcel.body))),
            ("stanchion-attempt", str(parcel.attempt)),
            ("webhook-id", parcel.webhook_id),
            ("webhook-timestamp", str(timestamp_s)),
            ("webhook-signature", signature),
        ]


def _first_of(response: httpcore.Response) -> bytes:
    """Read a body up to ANSWER_BYTES_MAX; what was not read closes the connection."""
    said = bytearray()
    for chunk in response.iter_stream():
        said += chunk
        if len(said) >= ANSWER_BYTES_MAX:
            break
    return bytes(said[:ANSWER_BYTES_MAX])


def _retry_after_s(headers: Sequence[tuple[bytes, bytes]], now_ms: int) -> int | None:
    """Return what Retry-After asks for, in seconds or until a date; None for none, or junk."""
    values = [value for name, value in headers if name.lower() == b"retry-after"]
    if not values:
        return None
    text = values[0].decode("ascii", "replace").strip()
    if text.isdecimal():
        return int(text[:10])
    try:
        at_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0, int(at_s - now_ms / 1000))


def _words_of(error: Exception) -> str:
    said = " ".join(str(error).split())[:300]
    if isinstance(error, httpcore.LocalProtocolError):
        return "the request could not be made"  # its words may hold the header that was wrong
    what = type(error).__name__
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            what = words
    return f"{what}: {said}" if said else what


def _ssl_context() -> ssl.SSLContext:
    """Return what checks certificates: against certifi's authorities and the machine's own."""
    if not _contexts:
        context = httpcore.default_ssl_context()
        context.load_default_certs()
        _contexts.append(context)
    return _contexts[0]
