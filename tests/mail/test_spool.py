"""Spool files: those that Exim wrote, of both lengths of id, and those that nobody should write."""

import random

import pytest

from models.mail.header_files import SpoolFormatError, decode_words, parse_header_file
from models.mail.rules import Mail, Status
from models.mail.spool import Folder, folders, make_mail, parse_message_log, read_mail
from tests.mail.exim_server import EximServer

LONG = b"""1xUNfI-000000007uB-0PJq-H
some one 0 0
<a@x.test>
1763640000 0
-received_time_usec .484848
-received_time_complete 1763640000.490000
-helo_name client.example
--host_address [192.0.2.10]:4321
--host_name mail.example
-received_protocol esmtpa
--auth_id anna
-aclm 0 11
two
lines!!
-aclc _x 0

--(pgsql)strange some value
-no_such_variable_yet 1
-body_linecount 1
-max_received_linelength 12
-frozen 1763640100
YY b@far.test
NN a@far.test
NN c@far.test
4
a@far.test
"b c"@far.test
d@far.test rfc822;d@far.test 17,1 bounces@x.test 14,-1#3
e@far.test e2@far.test 11,0#1

018P Return-path: <a>
010* gone now
028  Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
016F From: a@x.test
"""


def sizes(raw: bytes) -> bytes:
    """Give each header the length that it has."""
    head, _, tail = raw.partition(b"\n\n018P")
    lines = (b"018P" + tail).splitlines(keepends=True)
    return head + b"\n\n" + b"".join(b"%03d%c %s" % (len(e[5:]), e[3], e[5:]) for e in lines)


def folder_of(exim: EximServer) -> Folder:
    return next(iter(folders(exim.spool)))


def read(exim: EximServer, message_id: str) -> Mail:
    found = read_mail(folder_of(exim), message_id)
    assert found is not None
    return found


def test_header_file_of_a_long_id_is_read_whole() -> None:
    envelope = parse_header_file(sizes(LONG))

    mail = make_mail(envelope, body_bytes=26 + 100)
    assert mail == Mail(
        message_id="1xUNfI-000000007uB-0PJq",
        received_at_ms=1_763_640_000_484,
        sender="a@x.test",
        recipients=("a@far.test", '"b c"@far.test', "d@far.test", "e@far.test"),
        delivered=("a@far.test",),
        size_bytes=sum(map(len, ("Return-path: <a>\n", "From: a@x.test\n")))
        + len("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n")
        + 101,
        status=Status.FROZEN,
        frozen_at_ms=1_763_640_100_000,
        subject="Grüße",
        host="mail.example [192.0.2.10]",
        user="anna",
        protocol="esmtpa",
    )
    assert envelope.delivered == ("b@far.test", "a@far.test", "c@far.test")
    assert envelope.login == "some one"


def test_journal_counts_as_delivered_and_as_an_attempt_under_way() -> None:
    envelope = parse_header_file(sizes(LONG))

    mail = make_mail(envelope, body_bytes=126, journal=b"d@far.test\nnobody@far.test\n")

    assert mail.delivered == ("a@far.test", "d@far.test")
    assert mail.is_delivering


def test_any_damage_is_an_error_of_its_own_kind() -> None:
    raw = sizes(LONG)
    damage = random.Random(4)

    for _ in range(3_000):
        broken = bytearray(raw[: damage.randrange(len(raw) + 1)])
        for _ in range(damage.randrange(6)):
            if broken:
                broken[damage.randrange(len(broken))] = damage.randrange(256)
        try:
            mail = make_mail(parse_header_file(bytes(broken)), body_bytes=30)
        except SpoolFormatError:
            continue
        for text in (mail.sender, mail.subject, *mail.recipients):
            assert "\0" not in text
            text.encode()  # no halves of characters, which no database stores


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b" plain\n", "plain"),
        (b" two\n  lines\n", "two lines"),
        (b" =?utf-8?b?4piD?= snow\n", "☃ snow"),
        (b" =?no-such-charset?q?x?=\n", "=?no-such-charset?q?x?="),
        (b" =?utf-7?q?+2AA-?=\n", None),
        (b" =?utf-8?b?!!!!?=\n", None),
        (b" \xff\xfe\0 raw\n", "\N{REPLACEMENT CHARACTER}" * 3 + " raw"),
        (b" " + b"x" * 5_000 + b"\n", "x" * 500),
    ],
)
def test_subject_is_decoded_with_replacement(raw: bytes, text: str | None) -> None:
    decoded = decode_words(raw)

    decoded.encode()
    assert text is None or decoded == text


def test_message_log_tells_attempts_of_the_recipient_that_was_tried_most() -> None:
    log = """\
2026-11-20 12:00:00 Received from a@x.test U=root P=local S=297
2026-11-20 12:21:55 tmp1@far.test R=smart T=smtp_sink defer (-44) H=127.0.0.1 [127.0.0.1]: 451 busy
2026-11-20 12:21:55 b@defer.test R=defer_rt defer (-1): test deferral
2026-11-20 12:36:55 [77] tmp1@far.test R=smart T=smtp_sink defer (-44) H=sink [127.0.0.1]: 452
2026-11-20 12:40:00 tmp1@far.test R=smart T=smtp_sink defer (-51): retry time not reached
"""

    attempts = parse_message_log(log)

    assert attempts.count == 2
    assert attempts.last_error == "H=sink [127.0.0.1]: 452"
    assert attempts.last_at_ms is not None


def test_message_log_says_why_no_attempt_was_made() -> None:
    log = """\
2026-11-20 12:00:00 Received from a@x.test U=root P=local S=297
2026-11-20 12:00:00 b@far.test R=smarthost T=remote_smtp_smarthost defer (-54): retry time not \
reached for any host for 'far.test'
"""

    attempts = parse_message_log(log)

    assert (attempts.count, attempts.last_at_ms) == (0, None)
    assert attempts.last_error == "retry time not reached for any host for 'far.test'"


def test_what_exim_writes_is_read(exim: EximServer) -> None:
    message_id = exim.submit("ok@far.test", "tmp1@far.test", subject="=?utf-8?q?=E2=98=83?=")

    mail = read(exim, message_id)

    assert (mail.status, mail.subject, mail.sender) == (Status.QUEUED, "☃", "a@x.test")
    assert set(mail.recipients) == {"ok@far.test", "tmp1@far.test"}
    assert mail.delivered == ()
    listed = exim.run("-bp").split()
    assert str(mail.size_bytes) == listed[1]


def test_an_attempt_is_told_by_the_files(exim: EximServer) -> None:
    message_id = exim.submit("ok@far.test", "tmp1@far.test")

    exim.run("-M", message_id)

    mail = read(exim, message_id)
    assert (mail.status, mail.delivered, mail.attempts) == (Status.DEFERRED, ("ok@far.test",), 1)
    assert "451 4.2.1 mailbox busy" in mail.last_error
    assert mail.last_attempt_at_ms is not None
    assert not mail.is_delivering


def test_where_and_from_whom_a_message_came(exim: EximServer) -> None:
    message_id = exim.submit(
        "u@defer.test",
        options=("-odq", "-oMa", "192.0.2.10.4321", "-oMs", "mail.example", "-oMai", "anna"),
    )

    mail = read(exim, message_id)

    assert (mail.host, mail.user) == ("mail.example [192.0.2.10]", "anna")


def test_null_sender_is_empty(exim: EximServer) -> None:
    assert read(exim, exim.submit("u@defer.test", sender="<>")).sender == ""


def test_message_that_is_gone_is_none(exim: EximServer) -> None:
    message_id = exim.submit("u@defer.test")
    folder = folder_of(exim)
    exim.run("-Mrm", message_id)

    assert read_mail(folder, message_id) is None
