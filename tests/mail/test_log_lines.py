"""What lines of a main log say, hostile ones too; lines as Exim 4.96 and 4.98.2 write them."""

import random
import time

import pytest

from models.mail.log_lines import LINE_CHARACTERS_MAX, Event, LogLine, parse_line, parse_lines

AT = "2026-11-26 10:00:00 "
ID = "1xUNcV-0005ay-0d"
LONG_ID = "1xUNfI-000000007uB-0PJq"


def line(rest: str, *, head: str = AT) -> LogLine:
    parsed = parse_line(f"{head}{rest}")
    assert parsed is not None
    return parsed


@pytest.mark.parametrize("message_id", [ID, LONG_ID])
def test_arrival_tells_who_from_where_and_for_whom(message_id: str) -> None:
    found = line(
        f"{message_id} <= a@x.test H=mail.x.test (helo) [192.0.2.10]:4321 P=esmtps S=1234"
        ' id=m@x T="a \\" for b@c [x] S=9" from <a@x.test> for u@far.test v@far.test'
    )

    assert (found.message_id, found.event, found.sender) == (message_id, Event.ARRIVAL, "a@x.test")
    assert found.recipients == ("u@far.test", "v@far.test")
    assert (found.remote, found.address, found.size_bytes) == ("mail.x.test", "192.0.2.10", 1234)


def test_attempts_tell_whom_where_and_why_not() -> None:
    done = line(
        f"{ID} => b@far.test <u@far.test> R=smart T=smtp H=mx.far.test [192.0.2.1] X=TLS1.3"
        ' C="250 2.0.0 OK 451 defer (1)" QT=1s DT=1s'
    )
    deferred = line(
        f"{ID} == tmp@far.test R=smart T=smtp defer (-44) H=mx.far.test [192.0.2.1]:"
        " SMTP error from remote mail server after RCPT TO:<tmp@far.test>: 451 4.2.1 mailbox busy"
    )
    bounced = line(f"{ID} ** u@fail.test R=fail_rt: no such user here")
    expired = line(f"{ID} ** u@down.test: retry timeout exceeded")
    quoted = line(f'{ID} => "a b"@far.test R=smart T=smtp H=mx [2001:db8::1] C="250 OK"')

    assert (done.event, done.recipient, done.code) == (Event.DELIVERY, "u@far.test", "250")
    assert (done.remote, done.address) == ("mx.far.test", "192.0.2.1")
    assert (deferred.event, deferred.recipient, deferred.code) == (
        *(Event.DEFER, "tmp@far.test", "451"),
    )
    assert "mailbox busy" in deferred.error
    assert (bounced.event, bounced.error) == (Event.BOUNCE, "no such user here")
    assert (expired.recipient, expired.error) == ("u@down.test", "retry timeout exceeded")
    assert (quoted.recipient, quoted.address) == ('"a b"@far.test', "2001:db8::1")


def test_deeds_and_rejections_are_known() -> None:
    events = {
        "Completed": Event.COMPLETED,
        "Completed QT=1s": Event.COMPLETED,
        "frozen by root": Event.FREEZE,
        "Frozen (delivery error message)": Event.FREEZE,
        "unfrozen by root": Event.THAW,
        "removed by root": Event.DELETE,
        "cancelled by root": Event.CANCEL,
        "recipient <b@x.test> added by root": Event.MODIFY,
        "Message is frozen": Event.OTHER,
    }
    assert {rest: line(f"{ID} {rest}").event for rest in events} == events

    refused = line(
        "H=(evil) [192.0.2.9] F=<a@x.test> rejected RCPT <b@y.test>: relay not permitted"
    )
    assert (refused.event, refused.message_id) == (Event.REJECT, "")
    assert (refused.sender, refused.recipient) == ("a@x.test", "b@y.test")
    assert refused.address == "192.0.2.9"


def test_moments_are_of_this_host_unless_a_zone_is_written() -> None:
    local = int(time.mktime(time.strptime(AT.strip(), "%Y-%m-%d %H:%M:%S"))) * 1000

    assert line("Start queue run: pid=7").at_ms == local
    assert line("[77] x", head="2026-11-26 10:00:00.123 ").at_ms == local + 123
    assert line("x", head="2026-11-26 10:00:00 +0700 ").at_ms == 1_795_662_000_000


def test_hostile_lines_are_kept_and_break_nothing() -> None:
    chance = random.Random(4)
    raws = [
        b"",
        b"\0\xff\xfe no moment",
        b"9999-99-99 99:99:99 x",
        f"{AT}{ID} <= ".encode(),
        f"{AT}{ID} => ".encode(),
        f"{AT}{ID} == x".encode(),
        f"{AT}{ID} ** ".encode() + b"\xc3\x28" * 9_000,
        f'{AT}{ID} <= a@b T="'.encode() + b"\\" * 5_000,
        f"{AT}{ID} ** a@b{' R=x' * 900}".encode(),
        f"{AT}{ID} <= a@b H={'(' * 3_000} S={'9' * 40}".encode(),
        *(AT.encode() + chance.randbytes(300) for _ in range(200)),
        *(f"{AT}{ID} ** ".encode() + chance.randbytes(300) for _ in range(200)),
    ]

    found = parse_lines(raws, before_ms=5)

    assert len(found) == len(raws) - 1
    assert found[0].at_ms == 5
    for each in found:
        each.text.encode()  # no half of a character
        assert "\0" not in each.text
        assert len(each.text) <= LINE_CHARACTERS_MAX
