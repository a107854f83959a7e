"""What a single request to the messages queue may ask for: the part that settings decide."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from falcon.asgi import Request
from msgspec import UnsetType

from api.messages.bodies import DequeueQuery, NewMessageBody
from models.errors import InvalidError
from models.messages.rules import LeaseRequest, NewMessage, Once

_TIMEOUT_DEFAULT_S: Final = 30
_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
# An answer that names every message of a large batch helps nobody.
_FAULTS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What a consumer asks for: a request for each message, and how long it waits for the first."""

    requests: list[LeaseRequest]
    timeout_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBounds:
    """The limits of one request; what it leaves open its queue decides, then the server."""

    body_bytes_max: int
    batch_body_bytes_max: int
    batch_messages_max: int
    attempts_max: int
    lease_max_s: int
    long_poll_max_s: int
    dedup_s: int
    idempotency_s: int

    def new_message(self, body: NewMessageBody, where: str = "") -> NewMessage:
        """Turn the wire's words into ours; raises InvalidError.

        `where` stands before the names of fields in the error.
        """
        return self._new_message(body, where)

    def new_messages(self, bodies: Sequence[NewMessageBody]) -> list[NewMessage]:
        """Turn a batch into our words; raises InvalidError that names the wrong messages."""
        self.check_length("messages", bodies)
        messages: list[NewMessage] = []
        faults: dict[str, str] = {}
        for index, body in enumerate(bodies):
            try:
                messages.append(self._new_message(body, f"messages[{index}]."))
            except InvalidError as error:
                faults |= error.details
                if len(faults) >= _FAULTS_MAX:
                    break
        if faults:
            raise InvalidError(faults)
        return messages

    def lease_ms(self, name: str, seconds: int | None) -> int | None:
        """Return how long a lease shall last, None for the message's own; raises InvalidError."""
        if seconds is None:
            return None
        if seconds > self.lease_max_s:
            raise InvalidError({name: f"Expected `int` <= {self.lease_max_s}"})
        return seconds * 1000

    def wish(self, query: DequeueQuery, where: str = "", *, count: int = 1) -> Wish:
        """Turn the wire's words into ours, with a new token for each message; raises InvalidError.

        `where` stands before the names of fields in the error.
        """
        lease_ms = self.lease_ms(f"{where}ack_timeout_seconds", query.ack_timeout_seconds)
        timeout_s = self._timeout_s(f"{where}timeout", query.timeout)
        consumer_id = query.consumer_id or f"consumer_{secrets.token_hex(4)}"
        requests = [
            LeaseRequest(
                consumer_id=consumer_id,
                lock_token=f"lt_{secrets.token_urlsafe(16)}",
                type=query.type,
                lease_ms=lease_ms,
                queue=query.queue,
            )
            for _ in range(count)
        ]
        return Wish(requests, timeout_s)

    def check_settings(
        self, ack_timeout_seconds: int | UnsetType | None, max_attempts: int | UnsetType | None
    ) -> None:
        """Raise InvalidError when a queue shall give messages more than a request may ask for."""
        faults: dict[str, str] = {}
        if ack_timeout_seconds and ack_timeout_seconds > self.lease_max_s:
            faults["ack_timeout_seconds"] = f"Expected `int` <= {self.lease_max_s}"
        if max_attempts and max_attempts > self.attempts_max:
            faults["max_attempts"] = f"Expected `int` <= {self.attempts_max}"
        if faults:
            raise InvalidError(faults)

    def check_count(self, name: str, count: int) -> None:
        """Raise InvalidError when somebody asks for too many messages."""
        if count > self.batch_messages_max:
            raise InvalidError({name: f"Expected `int` <= {self.batch_messages_max}"})

    def check_length(self, name: str, items: Sequence[object]) -> None:
        """Raise InvalidError when a batch is too long."""
        if len(items) > self.batch_messages_max:
            reason = f"Expected `array` of length <= {self.batch_messages_max}"
            raise InvalidError({name: reason})

    def _timeout_s(self, name: str, seconds: int | None) -> int:
        if seconds is None:
            return min(_TIMEOUT_DEFAULT_S, self.long_poll_max_s)
        if seconds > self.long_poll_max_s:
            raise InvalidError({name: f"Expected `int` <= {self.long_poll_max_s}"})
        return seconds

    def once(self, req: Request, messages: Sequence[NewMessage]) -> Once | None:
        """Return under which name a request is carried out once, if it has one.

        Raises InvalidError. Source: draft-ietf-httpapi-idempotency-key-header.
        """
        key = req.get_header("Idempotency-Key")
        if key is None:
            return None
        key = key.strip().strip('"')
        if not _KEY.fullmatch(key):
            raise InvalidError({"Idempotency-Key": "Expected 1 to 255 printable characters"})
        fingerprint = hashlib.sha256(msgspec.json.encode(messages)).hexdigest()
        return Once(key, self.idempotency_s * 1000, fingerprint)

    def _once(self, body: NewMessageBody) -> Once | None:
        if body.dedup_id is None:
            return None
        keep_s = body.dedup_seconds or self.dedup_s
        return Once(body.dedup_id, keep_s * 1000, replaces=body.dedup_replace)

    def _new_message(self, body: NewMessageBody, where: str) -> NewMessage:
        attempts, seconds = body.max_attempts, body.ack_timeout_seconds
        faults: dict[str, str] = {}
        if attempts is not None and attempts > self.attempts_max:
            faults[f"{where}max_attempts"] = f"Expected `int` <= {self.attempts_max}"
        if seconds is not None and seconds > self.lease_max_s:
            faults[f"{where}ack_timeout_seconds"] = f"Expected `int` <= {self.lease_max_s}"
        try:
            payload = str(memoryview(body.payload), "utf-8")
        except UnicodeDecodeError:  # the parser does not look into what it hands over raw
            payload = ""
            faults[f"{where}payload"] = "Expected UTF-8"
        if payload and payload[0] != "{":
            faults[f"{where}payload"] = "Expected `object`"
        if body.group_key is not None and body.delay_seconds:
            # The group would stand still meanwhile, which nobody wants who sends one message.
            faults[f"{where}delay_seconds"] = "Expected none beside `group_key`"
        if body.dedup_id is None and (body.dedup_seconds is not None or body.dedup_replace):
            faults[f"{where}dedup_id"] = "Expected one beside `dedup_seconds` or `dedup_replace`"
        if faults:
            raise InvalidError(faults)
        return NewMessage(
            payload=payload,
            type=body.type,
            priority=body.priority,
            max_attempts=attempts,
            lease_ms=None if seconds is None else seconds * 1000,
            queue=body.queue,
            delay_ms=body.delay_seconds * 1000,
            group_key=body.group_key,
            once=self._once(body),
        )
