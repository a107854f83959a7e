"""What is said in an attempt: heard live and kept for who comes later."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from models.errors import UnavailableError
from models.mail.dialogue_telling import DialogueTeller
from models.mail.dialogues import LINES_MAX, LOST_AFTER_S, Listening, Piece, joined
from models.mail.rules import Action
from tests.mail.mail_system import MailSystem
from tests.mail.test_live import ask, listening, of_type, until
from tests.servers import wait_until

ID = "1xUNcV-0005ay-0d"


def test_pieces_that_overtook_one_another_are_put_in_order() -> None:
    talk = Listening("o", ID, "mx1", Action.DELIVER)
    pieces: list[Piece] = []
    for word in ("one", "two", "three"):
        talk.hear(word)
        piece = talk.take()
        assert piece is not None
        pieces.append(piece)
    talk.end()
    last = talk.take()
    assert last is not None
    assert talk.is_told
    assert talk.take() is None

    whole = joined([last, *reversed(pieces)])
    gap = joined([last, pieces[0], pieces[2]])

    assert whole is not None
    assert (whole.lines, whole.is_over) == (("one", "two", "three"), True)
    assert gap is not None
    assert (gap.lines, gap.is_over) == (("one", "…", "three"), True)
    assert joined([]) is None


def test_a_quiet_attempt_gives_signs_of_life_and_one_without_is_lost() -> None:
    talk = Listening("o", ID, "mx1", Action.DELIVER)
    talk.hear("one")
    first = talk.take(is_sign_due=True)
    sign = talk.take(is_sign_due=True)
    assert first is not None
    assert sign is not None
    assert (sign.lines, sign.first, sign.is_over) == ((), 1, False)
    assert talk.take() is None

    lost = joined([first], is_alive=False)
    talk.end()
    last = talk.take()
    assert last is not None
    told = joined([first, last], is_alive=False)

    assert lost is not None
    assert (lost.lines, lost.is_over, lost.is_lost) == (("one",), True, True)
    assert told is not None
    assert (told.is_over, told.is_lost) == (True, False)


def test_who_talks_for_ever_is_cut_off() -> None:
    talk = Listening("o", ID, "mx1", Action.DELIVER)
    for _ in range(LINES_MAX + 50):
        talk.hear("x" * 5_000)

    piece = talk.take()

    assert piece is not None
    assert len(piece.lines) == LINES_MAX + 1
    assert "not kept" in piece.lines[-1]
    assert max(map(len, piece.lines)) <= 1_000


def test_a_teller_ends_with_what_it_has() -> None:
    told: list[Piece] = []
    teller = DialogueTeller("mx1", send=told.extend)
    teller.hear("o", ID, Action.DELIVER, "hello")
    teller.end("o", ID)
    teller.stop()

    teller.run()

    assert [(each.lines, each.is_over) for each in told] == [(("hello",), True)]


def test_what_was_said_while_the_broker_was_away_is_told_later() -> None:
    told: list[Piece] = []
    tries = []
    teller: DialogueTeller

    def send(pieces: Sequence[Piece]) -> None:
        tries.append(pieces)
        if len(tries) == 1:
            teller.end("o", ID)
            raise UnavailableError("broker", "it is away")
        told.extend(pieces)
        teller.stop()

    teller = DialogueTeller("mx1", send=send)
    teller.hear("o", ID, Action.DELIVER, "hello")

    teller.run()

    whole = joined(told)
    assert whole is not None
    assert (whole.lines, whole.is_over) == (("hello",), True)


def test_a_broker_that_stays_away_does_not_fill_the_memory() -> None:
    tries: list[Sequence[Piece]] = []
    teller: DialogueTeller

    def send(pieces: Sequence[Piece]) -> None:
        tries.append(pieces)
        if len(tries) == 20:
            teller.stop()
        for number in range(200):
            teller.hear(f"{len(tries)}", f"{number}", Action.DELIVER, "hello")
            teller.end(f"{len(tries)}", f"{number}")
        raise UnavailableError("broker", "it is away")

    teller = DialogueTeller("mx1", send=send)
    teller.hear("o", ID, Action.DELIVER, "hello")

    teller.run()

    assert max(map(len, tries)) == 1_200
    assert tries[-1][-1].operation_id == "20"


# Over HTTP -----------------------------------------------------------------------------------


def said(mail: MailSystem, message_id: str) -> dict[str, Any]:
    return dict(mail.http.get(f"/api/v1/messages/{message_id}/dialogue").json()["data"])


@pytest.mark.on_sqlite
def test_a_delivery_is_heard_as_it_is_made(mail: MailSystem) -> None:
    message_id = mail.exim.submit("tmp@far.test", "ok@far.test")
    mail.wait_for(message_id)
    assert said(mail, message_id)["operation_id"] is None
    endpoint = f"/api/v1/messages/{message_id}/dialogue"

    with listening(mail) as socket:
        ask(socket, type="subscribe", endpoint=endpoint)
        until(socket, of_type("subscribed"))
        mail.http.post(f"/api/v1/queue/{message_id}/deliver").raise_for_status()
        lines: list[str] = []
        while True:
            told = json.loads(socket.recv(timeout=20))
            if told["type"] == "subscription_update":
                assert (told["endpoint"], told["data"]["host"]) == (endpoint, "mx1")
                assert told["data"]["first"] == len(lines)
                lines += told["data"]["lines"]
                if told["data"]["is_over"]:
                    break

    assert "  SMTP<< 451 4.2.1 mailbox busy" in lines
    assert any("=> ok@far.test" in line for line in lines)
    kept = wait_until(
        lambda: said(mail, message_id) if said(mail, message_id)["is_over"] else None, "it is kept"
    )
    assert (kept["lines"], kept["operation"], kept["host"]) == (lines, "deliver", "mx1")


@pytest.mark.on_sqlite
def test_a_dialogue_whose_host_dies_ends_and_goes_on_when_it_is_back(mail: MailSystem) -> None:
    message_id = mail.exim.submit("slow@far.test")
    mail.wait_for(message_id)
    mail.sink.released.clear()
    try:
        mail.http.post(f"/api/v1/queue/{message_id}/deliver").raise_for_status()
        wait_until(lambda: said(mail, message_id)["lines"], "it is heard")
        assert not said(mail, message_id)["is_over"]
        with redis.Redis.from_url(mail.system.redis_url) as client:
            [alive] = client.keys(f"mail:dialogue_alive:*:{message_id}")
            assert 0 < client.ttl(alive) <= LOST_AFTER_S
            client.delete(alive)  # as time does, once no sign of life comes

        silent = said(mail, message_id)
    finally:
        mail.sink.released.set()

    assert (silent["is_over"], silent["is_lost"]) == (True, True)
    mail.wait_for()
    whole = wait_until(
        lambda: told if not (told := said(mail, message_id))["is_lost"] else None, "it is told"
    )
    assert any("=> slow@far.test" in line for line in whole["lines"])


@pytest.mark.on_sqlite
def test_a_dialogue_outlives_its_message(mail: MailSystem) -> None:
    message_id = mail.exim.submit("ok@far.test")
    mail.wait_for(message_id)
    mail.http.post(f"/api/v1/queue/{message_id}/deliver").raise_for_status()
    mail.wait_for()

    kept = wait_until(
        lambda: told if (told := said(mail, message_id))["lines"] and told["is_over"] else None,
        "it is kept",
    )

    assert any("SMTP>> RCPT TO:<ok@far.test>" in line for line in kept["lines"])
    assert mail.http.get("/api/v1/messages/nonsense!/dialogue").status_code == 400
