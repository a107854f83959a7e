"""Texts in filters mean themselves, on both databases, in every field that takes one."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from models.database import Database
from models.mail.filters import MailFilter
from models.mail.jobs import apply_batch
from models.mail.rules import Mail
from models.mail.service import MailService
from tests.mail.attacks import FILTER_TEXTS
from tests.mail.test_jobs import NOW_MS, batch, mail

# Where the text is put, and how a filter asks for it.
FIELDS: dict[str, tuple[Callable[[Mail, str], Mail], Callable[[str], MailFilter]]] = {
    "sender": (
        lambda base, text: replace(base, sender=f"a{text}b@x.test"),
        lambda text: MailFilter(sender=text),
    ),
    "recipient": (
        lambda base, text: replace(base, recipients=("u@far.test", f"a{text}b@x.test")),
        lambda text: MailFilter(recipient=text),
    ),
    "subject": (
        lambda base, text: replace(base, subject=f"a{text}b"),
        lambda text: MailFilter(subject=text),
    ),
    "reason": (
        lambda base, text: replace(base, last_error=f"a{text}b"),
        lambda text: MailFilter(reason=text),
    ),
    "source": (
        lambda base, text: replace(base, host=f"a{text}b"),
        lambda text: MailFilter(source=text),
    ),
    "queue": (
        lambda base, text: replace(base, queue=text),
        lambda text: MailFilter(queue=text),
    ),
    "sender_domain": (
        lambda base, text: replace(base, sender=f"a@{text}"),
        lambda text: MailFilter(sender_domain=text),
    ),
    "recipient_domain": (
        lambda base, text: replace(base, recipients=(f"a@{text}", "u@far.test")),
        lambda text: MailFilter(recipient_domain=text),
    ),
}
WHOLE = frozenset({"queue", "sender_domain", "recipient_domain"})


async def found(database: Database, wanted: MailFilter) -> list[int]:
    page = await MailService(database).page(wanted, per_page=100)
    assert page.total == len(page.mails)
    return sorted(int(each.mail.message_id[7:13]) for each in page.mails)


@pytest.mark.parametrize("field", FIELDS)
async def test_text_finds_what_has_it_and_nothing_else(database: Database, field: str) -> None:
    put, ask = FIELDS[field]
    # A line's end parts recipients, and none of them holds one; a NUL is stored as another sign.
    texts = [each for each in FILTER_TEXTS if each not in {"\n", "\0"}]
    mails = [put(mail(number), text) for number, text in enumerate(texts)]
    apply_batch(database, replace(batch(1, *mails), is_whole=True), now_ms=NOW_MS)
    is_whole = field in WHOLE

    for text in texts:
        holders = [
            number
            for number, other in enumerate(texts)
            if (text == other if is_whole else text in f"a{other}b@x.test")
        ]
        if not is_whole:
            holders = [each for each in holders if text in where(field, mails[each])]

        assert await found(database, ask(text)) == holders, text


def where(field: str, each: Mail) -> str:
    """Return the text that a filter on a field looks into."""
    texts = {
        "sender": each.sender,
        "recipient": "\n".join(each.recipients),
        "subject": each.subject,
        "reason": each.last_error,
        "source": each.host,
    }
    return texts[field]


@pytest.mark.parametrize("field", ["status", "host", "message_id"])
async def test_text_that_nothing_is_called_finds_nothing(database: Database, field: str) -> None:
    apply_batch(database, replace(batch(1, mail(1), mail(2)), is_whole=True), now_ms=NOW_MS)

    for text in FILTER_TEXTS:
        assert await found(database, MailFilter(**{field: text})) == [], text  # type: ignore[arg-type]
    assert await found(database, MailFilter()) == [1, 2]
