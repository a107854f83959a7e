"""`stanchion messages redrive`, `move`, `delete`, `purge`: seen first, done with `--yes`."""

import json

import httpx
import pytest

from tests.messages.test_commands import Command, command
from tests.messages.test_contract import put, take
from tests.messages.test_mass_wire import counts, die

__all__ = ["command"]  # the fixture


def test_redrive_shows_first_and_does_what_it_shows(command: Command, http: httpx.Client) -> None:
    made = [die(http, type="mail") for _ in range(3)]
    die(http, type="other")

    code, shown, _ = command("messages", "redrive", "--type", "mail")
    assert (code, counts(http)) == (0, {"dead": 4})
    _, done, _ = command("messages", "redrive", "--type", "mail", "--rows", "2", "--yes")

    lines = shown.splitlines()
    assert lines[0] == "3 messages would be redriven; --yes does it"
    assert [line.split()[0] for line in lines[1:]] == made
    assert lines[1].split()[1:] == ["default", "mail", "dead", "1/1", "broken"]
    assert done == "3 redriven\n"
    assert counts(http) == {"queued": 3, "dead": 1}


def test_redrive_takes_a_rate_and_names(command: Command, http: httpx.Client) -> None:
    lost, ready = die(http), put(http)["id"]

    _, said, _ = command("messages", "redrive", lost, ready, "--rate", "0.5", "--json", "--yes")

    told = json.loads(said)
    assert (told["count"], told["skipped"]) == (1, [{"id": ready, "status": "queued"}])
    found = counts(http)
    assert found["queued"] + found.get("delayed", 0) == 2  # the turn of the first one is now


def test_messages_move_go_and_are_purged(command: Command, http: httpx.Client) -> None:
    put(http)
    put(http, type="a")
    take(http, type="a")

    _, moved, _ = command("messages", "move", "--queue", "default", "--to", "dead", "--yes")
    _, nothing, _ = command("messages", "delete", "--state", "delayed")
    _, deleted, _ = command(
        "messages", "delete", "--state", "processing", "--force", "--all", "--yes"
    )
    put(http)
    _, would, _ = command("messages", "purge", "default")
    _, purged, _ = command("messages", "purge", "default", "--yes")

    assert (moved, nothing) == ("1 moved\n", "nothing would be deleted\n")
    assert (deleted, purged) == ("1 deleted\n", "1 deleted\n")
    assert would == "1 message would be deleted; --yes does it\n"
    assert counts(http) == {"dead": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("redrive",), 2, "ID: is missing"),
        (("redrive", "msg_1", "--type", "a"), 2, "ID: names messages"),
        (("redrive", "msg_1"), 1, "ids[0]"),
        (("delete", "--state", "processing"), 1, "filter.status"),
        (("delete", "--after", "yesterday"), 1, "filter.created_after"),
        (("move", "--all"), 1, "queue"),
        (("move", "--all", "--to-queue", "nowhere"), 1, "nowhere"),
        (("purge", "nowhere", "--yes"), 1, "nowhere"),
        (("purge", "default", "--url", "http://127.0.0.1:1"), 1, "Connection refused"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(
    command: Command, http: httpx.Client, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert http
    ended, out, told = command("messages", *arguments)

    assert (ended, out) == (code, "")
    assert said in told
    assert len(told.splitlines()) == 1
