"""What the live side relies on in uvicorn, websockets, python-engineio and python-socketio."""

import inspect

import pytest
from engineio import AsyncServer as EngineServer
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError
from socketio import AsyncServer
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

from api.live.engine import read_packet
from api.live.packets import Packet, SocketioForm, frame


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_frame_made_beforehand_is_the_librarys(length: int) -> None:
    text = b"x" * length

    assert frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)


@pytest.mark.parametrize("text", ["", "²", "7", "x"])
def test_what_is_no_packet_is_refused(text: str) -> None:
    with pytest.raises(EngineIOError):
        read_packet(text)


def test_packet_leaves_out_what_was_seen() -> None:
    packet = Packet([b"a", b"b", b"c"], [(1, 0, 0), (1, 0, 1), (2, 0, 0)])

    rest = packet.behind((1, 0, 0))

    assert rest is not None
    assert rest.texts == [b"b", b"c"]
    assert packet.behind((2, 0, 0)) is None


@pytest.mark.parametrize(
    ("has_recovery", "text"),
    [(True, b'42/m,["e",{"a":1},"1-0.0"]'), (False, b'42/m,["e",{"a":1,"offset":"1-0.0"}]')],
)
def test_offset_is_the_last_argument_or_within_the_only_one(
    *, has_recovery: bool, text: bytes
) -> None:
    assert SocketioForm("/m", has_recovery).write("e", b'{"a":1}', "1-0.0") == text


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (WebSocketsSansIOProtocol, "handle_connect", ["event"]),
        (WebSocketsSansIOProtocol, "stop_keepalive", []),
        (WebSocketsSansIOProtocol, "send", ["message"]),
        (WebSocketsSansIOProtocol, "shutdown", []),
        (EngineServer, "_handle_connect", ["environ", "transport", "jsonp_index"]),
        (EngineServer, "_log_error_once", ["message", "message_key"]),
        (EngineServer, "_upgrades", ["sid", "transport"]),
        (AsyncSocket, "_upgrade_websocket", ["environ"]),
        (AsyncSocket, "handle_post_request", ["environ"]),
        (AsyncSocket, "receive", ["pkt"]),
        (AsyncSocket, "poll", []),
        (AsyncSocket, "close", ["wait", "abort", "reason"]),
        (AsyncSocket, "schedule_ping", []),
        (AsyncServer, "_engineio_server_class", []),
        (AsyncServer, "_handle_connect", ["eio_sid", "namespace", "data"]),
        (AsyncServer, "_handle_disconnect", ["eio_sid", "namespace", "reason"]),
        (AsyncServer, "_handle_event", ["eio_sid", "namespace", "id", "data"]),
        (AsyncServer, "_handle_eio_connect", ["eio_sid", "environ"]),
        (AsyncServer, "_handle_eio_message", ["eio_sid", "data"]),
    ],
)
def test_private_part_that_is_overridden_is_still_there(
    owner: type, name: str, parameters: list[str]
) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters)[1:] == parameters
