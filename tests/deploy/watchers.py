"""Clients of each kind that watch through a proxy, and come back whenever they are cut off."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import httpx
import socketio
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

NAMESPACE = "/messages"


class Watcher:
    """A client of the event stream that comes back with the offset it saw last."""

    def __init__(self, url: str) -> None:
        self.seen: set[str] = set()
        self._url = url
        self._last = ""
        self._is_open = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        # A stream tells what happens from its beginning on, so nothing may happen before it.
        assert self._is_open.wait(30), "the stream of events begins"
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set():
            with contextlib.suppress(httpx.TransportError, WebSocketException, OSError):
                self._listen()
            time.sleep(0.05)  # a polite client pauses

    def _listen(self) -> None:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        url = f"{self._url}/api/queue/events"
        with httpx.stream("GET", url, headers=headers, timeout=20) as stream:
            for line in stream.iter_lines():
                self._is_open.set()
                name, _, value = line.partition(": ")
                if name == "id":
                    self._last = value
                elif name == "data":
                    self._see(json.loads(value))
                if self._is_over.is_set():
                    return

    def _see(self, data: dict[str, Any]) -> None:
        if "id" in data:
            self.seen.add(data["id"])


class SocketWatcher(Watcher):
    """The same by a raw WebSocket."""

    def _listen(self) -> None:
        address = self._url.replace("http://", "ws://")
        with connect(f"{address}/ws/messages?offset={self._last}", open_timeout=20) as socket:
            self._is_open.set()
            while not self._is_over.is_set():
                frame = json.loads(socket.recv(timeout=20))
                self._last = frame.get("offset", self._last)
                self._see(frame.get("data") or {})


class SocketIoWatcher(Watcher):
    """The same by the official Python client of Socket.IO, which comes back by itself."""

    def __init__(self, url: str, *, transports: list[str]) -> None:
        super().__init__(url)
        self._transports = transports

    def _run(self) -> None:
        client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5)
        client.on("*", self._hear, namespace=NAMESPACE)
        client.connect(
            self._url,
            namespaces=[NAMESPACE],
            transports=self._transports,
            wait_timeout=20,
            # Asked for at each connect: what was missed is told by the offset.
            auth=lambda: {"offset": self._last} if self._last else {},
        )
        self._is_open.set()
        self._is_over.wait()
        client.shutdown()  # `disconnect` would leave one that reconnects to do so for ever

    def _hear(self, _name: str, data: dict[str, Any] | None = None, offset: str = "") -> None:
        self._last = offset or self._last
        self._see(data or {})


@contextmanager
def watchers(url: str) -> Iterator[dict[str, Watcher]]:
    """Watch in every way there is."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(watcher)
            for name, watcher in (
                ("SSE", Watcher(url)),
                ("WebSocket", SocketWatcher(url)),
                ("Socket.IO by polling", SocketIoWatcher(url, transports=["polling"])),
                ("Socket.IO by WebSocket", SocketIoWatcher(url, transports=["websocket"])),
            )
        }
