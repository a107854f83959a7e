"""Hints of Exim's retry database, as `exim_dumpdb` prints them."""

import time

from models.mail.retry_hints import keys_of, parse_hints

TIMES = "20-Nov-2026 12:21:55  20-Nov-2026 13:03:35  20-Nov-2026 13:18:35"


def test_hints_tell_what_waits_until_when() -> None:
    keys = {
        "R:tmp@far.test:<a@x.test>": "",
        "R:defer.test": "",
        "T:mx.x:192.0.2.1:2599": "192.0.2.1",
        "T:mx.x:192.0.2.1": "192.0.2.1",
        "T:mx.x:2001:db8::1": "2001:db8::1",
        "T:[2001:db8::2]:2001:db8::2:1xUNcV-0005ay-0d": "2001:db8::2",
        "T:mx.x:192.0.2.1:25:1xUNfI-000000007uB-0PJq": "192.0.2.1",
        "T:mx.x:nonsense": "",
    }
    lines = [line for key in keys for line in (f"  {key} -44 13121 451 busy: later", TIMES)]

    hints = list(parse_hints(["noise", TIMES, *lines, "  R:x 1", "\0\ufffd"]))

    assert {hint.key: hint.address for hint in hints} == keys
    due_s = time.mktime(time.strptime("2026-11-20 13:18:35", "%Y-%m-%d %H:%M:%S"))
    assert {hint.next_at_ms for hint in hints} == {int(due_s) * 1000}
    assert hints[0].reason == "451 busy: later"
    assert not hints[0].is_expired
    [expired] = parse_hints(["  R:x.test -1 0 gone", f"{TIMES} *"])
    assert expired.is_expired


def test_an_address_waits_for_itself_and_its_domain() -> None:
    assert set(keys_of("Bob@Far.Test", "a@x.test")) == {
        "R:Bob@far.test",
        "R:Bob@far.test:<a@x.test>",
        "R:Bob@Far.Test",
        "R:far.test",
    }
