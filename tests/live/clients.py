"""Live clients for tests: the official Socket.IO client under node, and a raw WebSocket."""

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 20.0


class JsClient:
    """socket.io-client in a node process; what it tells is kept until somebody asks for it."""

    def __init__(self, folder: Path, url: str, **options: Any) -> None:
        self._node = subprocess.Popen(
            ["node", "client.mjs", url, json.dumps(options)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._told: queue.Queue[list[Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def do(self, *command: Any) -> None:
        """Tell the client to do something."""
        assert self._node.stdin is not None
        self._node.stdin.write(json.dumps(command) + "\n")
        self._node.stdin.flush()

    def next(self, *kinds: str) -> list[Any]:
        """Return the next thing of these kinds that happens, without the kind."""
        while True:
            kind, *rest = self._told.get(timeout=PATIENCE_S)
            if kind in kinds:
                return rest if len(kinds) == 1 else [kind, *rest]

    def next_event(self, *names: str) -> list[Any]:
        """Return the next event of one of these names: its name and its arguments."""
        while True:
            event = self.next("event")
            if event[0] in names:
                return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._node.kill()
        self._node.wait()
        for pipe in (self._node.stdin, self._node.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _listen(self) -> None:
        assert self._node.stdout is not None
        with contextlib.suppress(ValueError):  # the pipe was closed
            for line in self._node.stdout:
                self._told.put(json.loads(line))


class RawClient:
    """A WebSocket that speaks JSON frames."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def next(self, *names: str) -> dict[str, Any]:
        """Return the next frame of one of these types, or of any."""
        while True:
            frame = json.loads(self.connection.recv(timeout=PATIENCE_S))
            if not names or frame["type"] in names:
                return dict(frame)

    def say(self, name: str, data: Any = None) -> None:
        """Send a frame."""
        self.connection.send(json.dumps({"type": name, "data": data}))

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame as it is."""
        self.connection.send(json.dumps(frame))

    def closed(self) -> int | None:
        """Return the code of the close that comes."""
        with contextlib.suppress(Exception):
            while True:
                self.connection.recv(timeout=PATIENCE_S)
        return self.connection.close_code


@contextlib.contextmanager
def raw(url: str, path: str = "/ws/messages", **options: Any) -> Iterator[RawClient]:
    """Open a WebSocket at a path of an HTTP address."""
    with connect(url.replace("http", "ws", 1) + path, compression=None, **options) as connection:
        yield RawClient(connection)


OpenJs = Callable[..., JsClient]
