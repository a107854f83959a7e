"""What is said to Exim, and what is made of what it says."""

import pytest

from models.errors import InvalidError
from models.mail.exim import Exim, EximError
from models.mail.exim_answers import parse_listing, read_outcomes
from models.mail.rules import EDITS, Action, Outcome, Result
from tests.mail.exim_server import EximServer

A, B, C = "1xUNcV-0005ay-0d", "1xUNiB-0008Vk-2R", "1xUNfI-000000007uB-0PJq"
UNKNOWN = "1AAAAA-000001-00"


@pytest.fixture
def program(exim: EximServer) -> Exim:
    return Exim(exim.command)


def results(outcomes: list[Outcome]) -> list[Result]:
    return [each.result for each in outcomes]


def test_outcome_is_read_from_the_line_that_names_the_id() -> None:
    lines = [
        f"Message {A} is no longer frozen",
        f"Spool data file for {UNKNOWN} does not exist",
        f"Message {C} is not frozen",
    ]

    outcomes = read_outcomes([C, UNKNOWN, A, B], lines)

    assert [(each.message_id, each.result) for each in outcomes] == [
        (C, Result.ALREADY),
        (UNKNOWN, Result.GONE),
        (A, Result.DONE),
        (B, Result.SILENT),
    ]
    assert outcomes[0].said == f"Message {C} is not frozen"


def test_last_line_of_an_id_decides() -> None:
    lines = [
        f"Spool read error for {A}-H: No such file or directory",
        "Continuing, to ensure all files removed",
        f"Message {A} has been removed or did not exist",
        f"Spool format error for {B}-H",
        "Continuing",
        f"Message {B} has been removed",
    ]

    assert results(read_outcomes([A, B], lines)) == [Result.GONE, Result.DONE]


def test_denial_names_no_id_and_is_everybodys() -> None:
    assert results(read_outcomes([A, B], ["Permission denied"])) == [Result.DENIED] * 2


def test_listing_of_exim_is_read() -> None:
    lines = f"""\
 5m   297 {A} <a@x.test>
          tmp1@far.test
        D ok3@far.test

 0m  4.2K {B} <> (some one) *** frozen ***
          "a b"@far.test

25h    *** spool format error: size=60 ***
 0m       {C} <a@x.test> *** frozen ***
          u@defer.test
""".splitlines()

    found = list(parse_listing(lines))

    assert [(each.message_id, each.sender, each.is_frozen) for each in found] == [
        (A, "a@x.test", False),
        (B, "", True),
        (C, "a@x.test", True),
    ]
    assert found[0].recipients == ("tmp1@far.test", "ok3@far.test")
    assert found[0].delivered == ("ok3@far.test",)


def test_places_are_asked_of_the_command_itself(exim: EximServer, program: Exim) -> None:
    places = program.places()

    assert places.spool == exim.spool
    assert places.logs == (f"{exim.logs}/%slog",)
    assert places.version.startswith("4.")


def test_actions_do_what_they_say(exim: EximServer, program: Exim) -> None:
    first, second = exim.submit("u@defer.test"), exim.submit("u@defer.test")

    assert results(program.act(Action.FREEZE, [first, UNKNOWN])) == [Result.DONE, Result.GONE]
    assert results(program.act(Action.FREEZE, [first, second])) == [Result.ALREADY, Result.DONE]
    assert [each.is_frozen for each in program.listing()] == [True, True]
    assert results(program.act(Action.THAW, [second])) == [Result.DONE]
    assert results(program.act(Action.THAW, [second])) == [Result.ALREADY]
    assert results(program.act(Action.REMOVE, [second, UNKNOWN])) == [Result.DONE, Result.GONE]
    assert (program.count(), exim.message_ids()) == (1, {first})


def test_attempt_by_hand_leaves_a_frozen_message_thawed(exim: EximServer, program: Exim) -> None:
    message_id = exim.submit("u@defer.test")
    program.act(Action.FREEZE, [message_id])
    begun: list[Outcome] = []
    dialogue: list[str] = []

    program.attempt(Action.DELIVER, message_id, started=begun.append, heard=dialogue.append)

    assert results(begun) == [Result.DONE]
    assert any("== u@defer.test" in line for line in dialogue)
    assert [each.is_frozen for each in program.listing()] == [False]


def attempt(program: Exim, action: Action, message_id: str) -> tuple[list[Outcome], list[str]]:
    begun: list[Outcome] = []
    dialogue: list[str] = []
    program.attempt(action, message_id, started=begun.append, heard=dialogue.append)
    return begun, dialogue


def test_a_bounce_goes_to_the_sender_and_the_message_leaves(
    exim: EximServer, program: Exim
) -> None:
    message_id, null = exim.submit("u@defer.test"), exim.submit("u@defer.test", sender="<>")

    begun, dialogue = attempt(program, Action.BOUNCE, message_id)

    assert results(begun) == [Result.DONE]
    assert "  SMTP>> RCPT TO:<a@x.test>" in dialogue
    assert exim.message_ids() == {null}
    assert results(attempt(program, Action.BOUNCE, null)[0]) == [Result.DONE]
    assert results(attempt(program, Action.BOUNCE, null)[0]) == [Result.GONE]
    assert f"{message_id} cancelled by" in exim.main_log()


def test_an_edit_changes_the_envelope(exim: EximServer, program: Exim) -> None:
    message_id = exim.submit("u@defer.test", "v@defer.test")

    def edit(action: Action, *addresses: str) -> Result:
        return program.edit(action, message_id, addresses).result

    assert edit(Action.ADD_RECIPIENTS, "new@far.test", "u@defer.test") is Result.DONE
    assert edit(Action.ADD_RECIPIENTS, "NEW@far.test") is Result.ALREADY
    assert edit(Action.DROP_RECIPIENTS, "v@defer.test") is Result.DONE
    assert edit(Action.CHANGE_SENDER, "b@x.test") is Result.DONE
    [listed] = program.listing()
    assert listed.recipients == ("u@defer.test", "v@defer.test", "new@far.test")
    assert (listed.sender, listed.delivered) == ("b@x.test", ("v@defer.test",))

    assert edit(Action.CHANGE_SENDER) is Result.DONE
    assert edit(Action.DROP_RECIPIENTS) is Result.DONE
    [listed] = program.listing()
    assert (listed.sender, set(listed.delivered)) == ("", set(listed.recipients))


def test_an_edit_that_exim_refuses_changes_nothing_and_says_why(
    exim: EximServer, program: Exim
) -> None:
    message_id = exim.submit("u@defer.test")

    refused = program.edit(Action.ADD_RECIPIENTS, message_id, ["good@far.test", "bad@_"])
    stranger = program.edit(Action.DROP_RECIPIENTS, message_id, ["u@defer.test", "no@far.test"])

    assert (refused.result, stranger.result) == (Result.REFUSED, Result.REFUSED)
    assert "bad address <bad@_>: domain missing or malformed" in refused.said
    assert "no@far.test is not a recipient" in stranger.said
    [listed] = program.listing()
    assert (listed.recipients, listed.delivered) == (("u@defer.test",), ())
    assert program.edit(Action.DROP_RECIPIENTS, UNKNOWN, ["a@b.c"]).result is Result.GONE
    assert program.edit(Action.ADD_RECIPIENTS, UNKNOWN, ["a@b.c"]).result is Result.GONE


@pytest.mark.parametrize(
    "text", ["-C/etc/passwd", "a b@x.test", "a@x.test>", "<a@x.test", "a\nb@x.test", "a\0@x.test"]
)
@pytest.mark.parametrize("action", sorted(EDITS))
def test_no_address_is_taken_for_an_option(
    exim: EximServer, program: Exim, action: Action, text: str
) -> None:
    message_id = exim.submit("u@defer.test")

    with pytest.raises(InvalidError, match="addresses"):
        program.edit(action, message_id, [text])

    assert exim.message_ids() == {message_id}


def test_message_of_a_named_queue_is_found_there(exim: EximServer, program: Exim) -> None:
    message_id = exim.submit("u@defer.test")
    exim.run("-MG", "slow", message_id)

    assert results(program.act(Action.FREEZE, [message_id])) == [Result.GONE]
    assert results(program.act(Action.FREEZE, [message_id], queue="slow")) == [Result.DONE]
    assert [each.message_id for each in program.listing("slow")] == [message_id]


def test_command_that_is_none_is_an_error_of_its_own() -> None:
    with pytest.raises(EximError, match="No such file"):
        Exim(["/nonexistent/exim"]).count()


def test_silence_has_an_end() -> None:
    with pytest.raises(EximError, match=r"silent for 0\.2 s"):
        Exim(["/bin/sh", "-c", "sleep 60", "x"], timeout_s=0.2).count()
