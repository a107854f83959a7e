"""What workers do for mail: keep the index by what the watchers tell."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from models import pulse
from models.database import Database
from models.events import Event
from models.mail.log_lines import Event as LogEvent
from models.mail.operations import RESEND_MS, Order, called_off, order_of
from models.mail.rules import Applied, Batch, Outcome, Result
from models.mail.statements import index, lists, operations, reports, samples
from models.mail.statements.index import Counts
from models.mail.views import HOST_SILENT_MS_MAX

DOMAIN: Final = "mail"
_DUE_AT_ONCE: Final = 100
_FORGOTTEN_AT_ONCE: Final = 20
_ROUNDS_MAX: Final = 40
# Which lines of the logs are what in the pulse.
_PULSE: Final[Mapping[str, str]] = {
    LogEvent.ARRIVAL: "arrived",
    LogEvent.DELIVERY: "done",
    LogEvent.BOUNCE: "failed",
}


def apply_batch(database: Database, batch: Batch, *, now_ms: int) -> Applied:
    """Put a batch into the index if it is the next one; say what is in it now.

    A repeat, one that came too early and one of an earlier watcher change nothing. Batches of one
    host wait for each other.
    """
    told = batch.generation, batch.number
    with database.begin() as connection:
        generation, number = index.lock_host(connection, batch.host, now_ms=now_ms)
        if batch.generation > generation and batch.number == 1:
            was_whole = False
        elif batch.generation == generation and batch.number == number + 1:
            was_whole = index.is_whole(connection, batch.host)
        else:
            if batch.generation == generation:
                index.note_life(connection, batch.host, now_ms=now_ms)
            return Applied(to_batch=told, holds=(generation, number))
        _apply(connection, batch)
        is_whole = was_whole or batch.is_whole
        index.note_host(connection, batch, is_whole=is_whole, now_ms=now_ms)
        return Applied(to_batch=told, holds=told)


def part(database: Database, host: str, generation: int, *, now_ms: int) -> bool:
    """Let a host that says good-bye count as silent from now on; say whether it was heard.

    A batch of it that arrives later changes nothing: the watcher that follows tells everything
    anew. Of an earlier watcher than the one that tells now, a good-bye means nothing.
    """
    with database.begin() as connection:
        heard, _ = index.lock_host(connection, host, now_ms=now_ms)
        silent_since_ms = now_ms - HOST_SILENT_MS_MAX - 1
        index.close_generation(connection, host, generation=generation, seen_at_ms=silent_since_ms)
        return heard == generation


def _apply(connection: Connection, batch: Batch) -> None:
    ids = [*(mail.message_id for mail in batch.there), *batch.gone]
    before = index.counts_of(connection, batch.host, ids)
    index.remove(connection, batch.host, ids)
    index.add(connection, batch.host, batch.there, generation=batch.generation)
    if batch.is_whole:
        index.remove_old(connection, batch.host, generation=batch.generation)
        index.keep_counts(connection, batch.host, index.counts_of_all(connection, batch.host))
        return
    kept = index.kept_counts(connection, batch.host)
    after = _counts(batch)
    if before != after:
        index.keep_counts(connection, batch.host, _sum(kept, before, after))


def _counts(batch: Batch) -> Counts:
    counts: Counts = {}
    for mail in batch.there:
        messages, size = counts.get(mail.status.value, (0, 0))
        counts[mail.status.value] = messages + 1, size + mail.size_bytes
    return counts


def _sum(
    kept: Mapping[str, tuple[int, int]],
    minus: Mapping[str, tuple[int, int]],
    plus: Mapping[str, tuple[int, int]],
) -> Counts:
    """Return kept - minus + plus."""
    result: Counts = {}
    for status in {*kept, *minus, *plus}:
        was, less, more = (each.get(status, (0, 0)) for each in (kept, minus, plus))
        result[status] = was[0] - less[0] + more[0], was[1] - less[1] + more[1]
    return result


def settle(
    database: Database,
    operation_id: str,
    number: int,
    found: Sequence[Outcome],
    *,
    now_ms: int,
) -> list[Order]:
    """Note what came of a chunk, a repeat of it not; return what its host is sent next."""
    with database.begin() as connection:
        operation = operations.read(connection, operation_id, lock=True)
        chunk = operations.read_chunk(connection, operation_id, number)
        if operation is None or chunk is None:
            return []
        said = {each.message_id: each for each in found}
        whole = [said.get(each) or _silent(each) for each in chunk.message_ids]
        is_new = operations.settle(connection, chunk, whole, now_ms=now_ms)
        if not is_new or operation.cancelled_at_ms is not None:
            return []
        unsent = operations.unsent_chunks(connection, operation_id, chunk.host, count=1)
        operations.note_sent(connection, unsent, due_ms=now_ms + RESEND_MS)
        return [order_of(operation, each) for each in unsent]


def take_due(database: Database, *, now_ms: int) -> list[Order]:
    """Find chunks that no host settled in time: call off what is expired, return the others.

    Of an operation that was called off the host is asked what it had begun, and begins no more.
    """
    orders: list[Order] = []
    with database.begin() as connection:
        due = operations.due_chunks(connection, count=_DUE_AT_ONCE, now_ms=now_ms)
    for chunk in due:
        with database.begin() as connection:
            operation = operations.read(connection, chunk.operation_id, lock=True)
            if operation is None:
                continue
            is_unsent = operation.cancelled_at_ms is not None and chunk.sends == 0
            if is_unsent or operation.expires_at_ms < now_ms:
                operations.settle(connection, chunk, called_off(chunk), now_ms=now_ms)
                continue
            operations.note_sent(connection, [chunk], due_ms=now_ms + RESEND_MS)
            orders.append(order_of(operation, chunk))
    return orders


def _silent(message_id: str) -> Outcome:
    return Outcome(message_id=message_id, result=Result.SILENT, said="the host said nothing")


def forget_operations(database: Database, *, keep_ms: int, now_ms: int) -> int:
    """Delete what came of operations that are older than `keep_ms`; return how many they were.

    Each commit is small; what is left over goes the next time.
    """
    gone = 0
    for _ in range(_ROUNDS_MAX):
        with database.begin() as connection:
            count = operations.forget(
                connection, before_ms=now_ms - keep_ms, count=_FORGOTTEN_AT_ONCE
            )
        gone += count
        if count < _FORGOTTEN_AT_ONCE:
            break
    return gone


def sample(database: Database, *, keep_ms: int, now_ms: int) -> None:
    """Note what each host has at this moment, and forget what is older than `keep_ms`."""
    with database.begin() as connection:
        for name in index.host_names(connection):
            samples.add(connection, name, lists.totals(connection, of_host=name), now_ms=now_ms)
        samples.forget(connection, before_ms=now_ms - keep_ms)


def see(database: Database, *, now_ms: int) -> list[Event]:
    """Keep how much waits on all hosts, and what their logs say of the last minutes."""
    steps = {
        "step_ms": pulse.MINUTE_MS,
        "from_ms": pulse.recent(now_ms).start,
        "to_ms": now_ms,
    }
    totals, lines = database.look(
        lambda connection: (lists.totals(connection), reports.count_by(connection, **steps))
    )
    named = ((at_ms, _PULSE[event], n) for at_ms, event, n in lines if event in _PULSE)
    seen = pulse.Seen(
        depth=totals.messages,
        oldest_at_ms=totals.oldest_at_ms,
        counts=pulse.counted(named, now_ms),
    )
    with database.begin() as connection:
        return pulse.keep(connection, DOMAIN, seen, now_ms=now_ms)


def recount(database: Database) -> dict[str, int]:
    """Compare the kept counts with the index, and set them right; return by how much, by host."""
    wrong: dict[str, int] = {}
    with database.begin() as connection:
        names = index.host_names(connection)
    for name in names:
        with database.begin() as connection:
            index.lock_host(connection, name, now_ms=0)
            kept, counted = (
                index.kept_counts(connection, name),
                index.counts_of_all(connection, name),
            )
            if kept != counted:
                index.keep_counts(connection, name, counted)
                wrong[name] = _messages(counted) - _messages(kept)
    return wrong


def _messages(counts: Counts) -> int:
    return sum(messages for messages, _ in counts.values())
