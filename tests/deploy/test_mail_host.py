"""A mail host on RabbitMQ, with the rights that docs/mail-host.md names and no others."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import kombu
import pytest

from tests.deploy.rabbitmq import RabbitmqServer
from tests.mail.exim_server import EximServer, Sink, require_exim
from tests.mail.host_pair import PAGE
from tests.servers import ROOT, Process, wait_until
from workers.app import send


@pytest.fixture
def broker(rabbitmq_folder: Path) -> Iterator[RabbitmqServer]:
    """A RabbitMQ with the user that the page makes."""
    commands = re.findall(r"^rabbitmqctl (.+)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    with RabbitmqServer(rabbitmq_folder) as server:
        for command in commands:
            server.control(*shlex.split(command))
        yield server


def test_rights_of_the_page_are_enough_and_do_not_reach_another_host(
    broker: RabbitmqServer, send_through: Callable[[str], None], new_folder: Callable[[str], Path]
) -> None:
    require_exim()
    folder, url = new_folder("o"), broker.url_of("mx2", "PASSWORD")
    send_through(broker.url)
    with Sink() as sink, kombu.Connection(broker.url) as house:
        exim = EximServer(new_folder("e"), sink_port=sink.port)
        process = Process(
            [sys.executable, "-m", "api.cli", "mail-watch", "--host", "mx2"],
            log_path=folder / "log",
            environ={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "STANCHION_BROKER_URL": url,
                "STANCHION_DATA": str(folder / "data"),
                "STANCHION_EXIM": " ".join(exim.command),
            },
        )
        heard: set[str] = set()

        def has_heard(task: str) -> bool:
            while message := house.default_channel.basic_get("mail", no_ack=True):
                heard.add(message.headers["task"])
            return task in heard

        try:
            wait_until(lambda: has_heard("mail.index"), "it tells its mail", process=process)
            arguments = ("mx2", "1AAAAA-000001-00", "request", 1_000)
            send("mail_host.read", arguments, queue="mail.mx2")
            wait_until(lambda: has_heard("mail.letter"), "it is heard and answers", process=process)
            assert process.stop() == 0
            wait_until(lambda: has_heard("mail.part"), "it says good-bye")
        finally:
            process.stop()

    with (
        kombu.Connection(url) as other,
        pytest.raises(other.channel_errors, match="ACCESS_REFUSED"),
    ):
        other.default_channel.queue_declare("mail.mx1", durable=True, auto_delete=False)
