"""Measures the peers that are here, each on a server that is started empty and ended after it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.http_load import Load, UnexpectedAnswerError
from bench.peers.gates import name_of
from bench.peers.peer import Peer, RanDryError
from bench.peers.roster import PEERS
from tests.servers import ServerError, temporary_folder


def installed(say: Callable[[str], None]) -> list[Peer]:
    """Return the peers that can be started, and say of the others what is missing."""
    found = []
    for peer in PEERS:
        if how := peer.missing():
            say(f"{peer.name}: not installed: {how}")
        else:
            found.append(peer)
    return found


def measure_peers(peers: Sequence[Peer], seconds: float, say: Callable[[str, Load], None]) -> None:
    """Measure each row of each peer once; one that fails is told and does not end the run."""
    for peer in peers:
        with _told(peer.name), _folder() as folder, peer.running(folder, seconds) as rows:
            for row, run in rows.items():
                with _told(name_of(peer.name, row)):
                    say(name_of(peer.name, row), run())


@contextmanager
def _folder() -> Iterator[Path]:
    with temporary_folder() as around:
        folder = around / "peer"  # whose server may be somebody else's
        folder.mkdir(mode=0o711)
        yield folder


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except RanDryError:
        print(f"  {name}: left out, nothing was left to receive", flush=True)
    except (OSError, ServerError, UnexpectedAnswerError) as error:
        print(f"  {name}: failed: {str(error)[:300]}", flush=True)
