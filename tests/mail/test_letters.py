"""What a message says: read from a real spool, whoever wrote it, and shown over HTTP."""

from typing import Any

import httpx
import pytest

from models.mail.letters import read_letter
from tests.mail.exim_server import EximServer
from tests.mail.mail_system import MailSystem
from tests.servers import wait_until

HOSTILE = (
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <script>alert(1)</script>\n"
    b"X-Folded: one\n two\n"
    b"X-Bytes: \xff\xfe\n"
    b"MIME-Version: 1.0\n"
    b"Content-Type: multipart/mixed; boundary=b\n"
    b"\n"
    b"--b\nContent-Type: application/zip\nContent-Transfer-Encoding: base64\n\nUEsDBA==\n"
    b"--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
    b"WGluIGNow6Bv\n--b--\n"
)


def sent(exim: EximServer, text: bytes) -> str:
    """Have Exim take a message as it is; return its id."""
    before = exim.message_ids()
    exim.run("-odq", "-i", "-f", "a@x.test", "u@defer.test", stdin=text)
    [message_id] = exim.message_ids() - before
    return message_id


def test_a_letter_is_text_whatever_was_written(exim: EximServer) -> None:
    message_id = sent(exim, HOSTILE)

    letter = read_letter(str(exim.spool), message_id, body_bytes_max=10_000)

    assert letter is not None
    named = dict(letter.headers)
    assert named["Subject"] == "Grüße <script>alert(1)</script>"
    assert named["X-Folded"] == "one two"
    assert "\N{REPLACEMENT CHARACTER}" in named["X-Bytes"]
    assert letter.preview == "Xin chào"
    assert letter.body.startswith("--b\nContent-Type: application/zip")
    assert not letter.is_cut


@pytest.mark.parametrize(
    "text",
    [
        b"Subject: empty\n\n",
        b"Subject: zero\n\n\x00\x00\xff",
        b"Content-Type: text/plain; charset=no-such\n\nhello",
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\n" * 500,
        b"Content-Transfer-Encoding: base64\n\n%%%%",
        b"".join(b"X-%d: y\n" % number for number in range(900)) + b"\nmany headers",
    ],
)
def test_what_is_no_good_mail_is_shown_all_the_same(exim: EximServer, text: bytes) -> None:
    letter = read_letter(str(exim.spool), sent(exim, text), body_bytes_max=10_000)

    assert letter is not None
    assert "\0" not in letter.body + letter.preview
    assert len(letter.headers) <= 500


def test_a_long_body_is_cut_and_says_so(exim: EximServer) -> None:
    message_id = sent(exim, b"Subject: long\n\n" + b"a" * 50_000)

    letter = read_letter(str(exim.spool), message_id, body_bytes_max=1_024)

    assert letter is not None
    assert (letter.body, letter.is_cut) == ("a" * 1_024, True)
    assert letter.body_bytes > 50_000


def test_what_is_not_there_is_none(exim: EximServer) -> None:
    assert read_letter(str(exim.spool), "1AAAAA-000001-00", body_bytes_max=1_024) is None


# Over HTTP -----------------------------------------------------------------------------------


@pytest.mark.on_sqlite
def test_a_message_is_shown_whole(mail: MailSystem) -> None:
    message_id = sent(mail.exim, HOSTILE)
    mail.wait_for(message_id)

    data = mail.http.get(f"/api/v1/queue/{message_id}").json()["data"]
    content = mail.http.get(f"/api/v1/messages/{message_id}/content").json()["data"]

    assert data["is_read"] is True
    assert data["headers"]["Subject"] == "Grüße <script>alert(1)</script>"
    assert data["content_preview"] == "Xin chào"
    assert data["delivery_attempts"] == []  # that it came in is none
    assert {"name": "X-Folded", "value": "one two"} in content["headers"]
    assert content["content"].startswith("--b\n")


@pytest.mark.on_sqlite
def test_attempts_and_lines_of_the_log_are_told(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test", options=("-odf",))
    mail.wait_for(message_id)

    def told() -> dict[str, Any] | None:
        data: dict[str, Any] = mail.http.get(f"/api/v1/queue/{message_id}").json()["data"]
        return data if data["delivery_attempts"] else None

    data = wait_until(told, "the log is read")
    [attempt] = data["delivery_attempts"]
    assert (attempt["recipient"], attempt["status"]) == ("u@defer.test", "deferred")
    assert {"arrival", "defer"} <= {each["event"] for each in data["smtp_logs"]}


@pytest.mark.on_sqlite
def test_a_host_that_is_silent_hides_no_more_than_it_knows(mail: MailSystem) -> None:
    message_id = sent(mail.exim, HOSTILE)
    mail.wait_for(message_id)
    watcher = mail.system.running["mail-watch"]
    watcher.freeze()
    try:
        data = mail.http.get(f"/api/v1/queue/{message_id}").json()["data"]
        content = mail.http.get(f"/api/v1/messages/{message_id}/content")
    finally:
        watcher.thaw()

    assert (data["id"], data["is_read"], data["headers"]) == (message_id, False, {})
    assert content.status_code == 503
    assert "mail host" in content.json()["error"]
    assert int(content.headers["Retry-After"]) > 0


@pytest.mark.on_sqlite
def test_who_may_only_look_reads_no_bodies(mail: MailSystem) -> None:
    message_id = sent(mail.exim, HOSTILE)
    mail.wait_for(message_id)

    def statuses(http: httpx.Client) -> int:
        return http.get(f"/api/v1/messages/{message_id}/content").status_code

    for role in ("viewer", "operator"):
        with mail.as_user(role) as user:
            assert statuses(user) == 403
            data = user.get(f"/api/v1/queue/{message_id}").json()["data"]
            assert (data["is_read"], data["content_preview"]) == (True, "")
    assert statuses(mail.http) == 200
