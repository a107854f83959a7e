"""`stanchion messages list`, `show`, `export`, `import` against a running server."""

import io
import json
import uuid
from pathlib import Path

import httpx
import pytest

from api.messages.parts import parts_of
from models.settings import SettingsError
from tests.messages.test_browsing_http import PAYLOADS, put_raw
from tests.messages.test_commands import Command, command

__all__ = ["command"]  # a fixture


@pytest.fixture
def kind() -> str:
    return uuid.uuid4().hex


def test_messages_are_listed_and_shown(command: Command, http: httpx.Client, kind: str) -> None:
    ids = [put_raw(http, f'{{"n": {number}}}', type=kind) for number in range(3)]

    _, out, _ = command("messages", "list", "main", "--type", kind, "--limit", "2")
    cursor = out.splitlines()[-1].rpartition(" ")[2]
    _, rest, _ = command("messages", "list", "main", "--type", kind, "--cursor", cursor, "--json")
    _, one, _ = command("messages", "show", ids[0])
    code, _, told = command("messages", "show", "msg_0")
    _, nothing, _ = command("messages", "list", "main", "--type", f"{kind} of none")

    assert [line.split()[0] for line in out.splitlines()[:2]] == [ids[2], ids[1]]
    assert [each["id"] for each in json.loads(rest)["messages"]] == [ids[0]]
    assert '{"n": 0}' in one
    assert (code, "msg_0 does not exist" in told) == (1, True)
    assert nothing == "none\n"


@pytest.mark.parametrize("format_", ["ndjson", "csv"])
def test_file_goes_out_and_in_again_in_parts(
    command: Command, http: httpx.Client, kind: str, format_: str, tmp_path: Path
) -> None:
    for payload in PAYLOADS:
        put_raw(http, payload, type=kind)
    path = tmp_path / "file"
    which = ("main", "--type", kind, "--format", format_)

    code, _, _ = command("messages", "export", *which, "--output", str(path))
    _, said, _ = command("messages", "import", str(path), "--batch", "2", "--skip", "1")

    assert (code, said) == (0, "4 imported\n")
    listed = http.get("/api/queue/main/messages", params={"type": kind, "order": "asc"})
    found = [each["payload"] for each in listed.json()["messages"]]
    assert found == [json.loads(payload) for payload in [*PAYLOADS, *PAYLOADS[1:]]]
    assert list(tmp_path.glob("*.partial")) == []


def test_import_that_stops_says_where(
    command: Command, http: httpx.Client, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    good = json.dumps({"payload": {}, "type": kind})
    path.write_text(f'{good}\n\n{good}\n{good}\n{{"payload":{{}},"priority":10}}\n')

    code, out, told = command("messages", "import", str(path), "--batch", "2")

    assert (code, out) == (1, "")
    assert "line 5: priority" in told
    assert "--skip 2" in told
    listed = http.get("/api/queue/main/messages", params={"type": kind})
    assert listed.json()["total"] == 2
    code, _, told = command("messages", "import", "/nowhere")
    assert (code, "'/nowhere'" in told, "--skip" in told) == (1, True, False)


def test_parts_keep_every_message_and_know_its_place() -> None:
    table = b'payload,type\r\n"{""a"":\r\n1}",x\r\n\r\n"{}",y\n{},z'
    [first, second] = parts_of(io.BytesIO(table), count_max=2, skip=0)
    assert first.content == b'payload,type\r\n"{""a"":\r\n1}",x\r\n"{}",y\n'
    assert second.content == b"payload,type\r\n{},z\n"
    assert [first.place_of("line 4: type"), second.place_of("line 2: body")] == [
        "line 5: type",
        "line 6: body",
    ]
    array = b'[{"a":\n1}, {"b": 2},{"c":3}]'
    [only] = parts_of(io.BytesIO(array), count_max=5, skip=1)
    assert only.content == b'[{"b": 2},{"c":3}]'
    assert only.place_of("messages[1].payload") == "messages[2].payload"
    for wrong in (b"", b" \n", b"[1"):
        with pytest.raises(SettingsError):
            list(parts_of(io.BytesIO(wrong), count_max=1, skip=0))


def test_a_table_of_other_names_is_refused_though_it_has_no_rows(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "file.csv"
    for heads, said in (("payload,kind", "kind"), ("type,priority", "payload")):
        path.write_text(f"{heads}\r\n")
        code, out, told = command("messages", "import", str(path))
        assert (code, out) == (1, "")
        assert said in told
