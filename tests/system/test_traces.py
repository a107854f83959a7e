"""Traces: one request followed to Exim and back, told to a collector by its own protocol."""

import contextlib
import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from models.tracing import Tracing, tracing
from tests.mail.conftest import exim, exim_server, sink
from tests.mail.exim_server import EximServer, Sink
from tests.mail.mail_system import PASSWORD, MailSystem
from tests.servers import RedisServer, System, free_port, wait_until

__all__ = ["exim", "exim_server", "sink"]  # fixtures
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


class Told(NamedTuple):
    """A span as a collector has it."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    facts: dict[str, Any]


class Collector:
    """Takes spans over OTLP/HTTP and keeps them."""

    def __init__(self) -> None:
        self.spans: list[Told] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            facts = {each.key: each.value.string_value for each in resource.resource.attributes}
            for span in (each for scope in resource.scope_spans for each in scope.spans):
                self.spans.append(
                    Told(
                        facts["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        {
                            each.key: each.value.string_value or each.value.int_value
                            for each in span.attributes
                        },
                    )
                )

    def of_trace(self, trace: str) -> list[Told]:
        return [each for each in self.spans if each.trace == trace]

    @contextlib.contextmanager
    def serve(self) -> Iterator["Collector"]:
        with self._server:
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
            yield self
            self._server.shutdown()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector().serve() as serving:
        yield serving


@pytest.fixture
def mail(
    collector: Collector,
    new_database_url: Callable[[], str],
    new_folder: Callable[[str], Path],
    exim: EximServer,
    sink: Sink,
) -> Iterator[MailSystem]:
    """API, worker and mail host, each with the collector's address and no other setting for it."""
    with RedisServer(new_folder("r")) as redis_server:
        settings = {
            "ADMIN_PASSWORD": PASSWORD,
            "EXIM": " ".join(exim.command),
            "OTLP_URL": collector.url,
        }
        with System(
            new_folder("y"),
            database_url=new_database_url(),
            redis_url=redis_server.url,
            processes=("api", "worker"),
            settings=settings,
        ) as system:
            system.start("mail-watch", command=("api.cli", "mail-watch", "--host", "mx1"))
            made = MailSystem(system, exim, sink)
            hosts = lambda: made.http.get("/api/v1/queue/hosts").json()["data"]["hosts"]  # noqa: E731
            wait_until(hosts, "a host is known", process=system.running["mail-watch"])
            yield made
            made.http.close()


@pytest.mark.on_sqlite
def test_a_request_is_followed_to_exim_and_back(mail: MailSystem, collector: Collector) -> None:
    message_id = mail.exim.submit("tmp@far.test")
    mail.wait_for(message_id)

    def ask(path: str, trace: str) -> None:
        headers = {"traceparent": f"00-{trace}-{SPAN}-01"}
        mail.http.post(path, headers=headers).raise_for_status()

    ask(f"/api/v1/queue/{message_id}/freeze", TRACE)
    deliver = TRACE[::-1]
    ask(f"/api/v1/queue/{message_id}/deliver", deliver)

    def told(trace: str) -> dict[str, Told]:
        return {each.name: each for each in collector.of_trace(trace)}

    wanted = ("POST /api/v1/queue/{message_id}/freeze", "send mail_host.act", "mail_host.act")
    wait_until(lambda: {*wanted, "exim", "mail.settle"} <= told(TRACE).keys(), "it is all told")
    spans = told(TRACE)
    request, sent, acted = (spans[name] for name in wanted)
    assert request.parent == SPAN
    assert (sent.parent, acted.parent) == (request.span, sent.span)
    assert spans["exim"].parent == acted.span
    assert spans["mail.settle"].parent == spans["send mail.settle"].span
    assert spans["send mail.settle"].parent == acted.span
    assert (request.service, acted.service) == ("stanchion-api", "stanchion-mail-host")
    assert spans["mail.settle"].service == "stanchion-worker"
    assert spans["exim"].facts == {"exim.options": "-Mf", "exim.messages": 1}
    assert request.facts["http.response.status_code"] == 200

    wait_until(lambda: "exim" in told(deliver), "the attempt is told")
    assert told(deliver)["exim"].parent == told(deliver)["mail_host.act"].span
    assert message_id not in repr(collector.spans).replace("{message_id}", "")


def test_a_collector_that_is_away_is_missed_by_nobody() -> None:
    made = Tracing()
    made.set_up(f"http://127.0.0.1:{free_port()}", role="test", version="0", share=1.0)
    assert made.is_on
    with made.span("work") as span:
        span.set_attribute("size", 1)
        assert made.carried()["traceparent"].startswith("00-")

    made.close()

    assert not made.is_on
    assert made.carried() == {}


def test_off_it_is_not_there() -> None:
    assert not tracing.is_on
    with tracing.span("work") as span:
        span.set_attribute("size", 1)
    assert tracing.carried() == {}
