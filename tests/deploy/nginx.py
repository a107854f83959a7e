"""The real nginx on loopback, with the configuration that is shipped."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

from tests.servers import ROOT, Process, free_port, wait_until

SHIPPED = ROOT / "deploy" / "nginx"
_MAIN = """\
{user}
pid {folder}/pid;
daemon off;
error_log stderr info;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/upstreams.conf;
    include {folder}/stanchion.conf;
}}
"""


class Nginx:
    """nginx in front of processes of the product; addresses are `host:port`.

    What is shipped is run as it is, but for addresses, the path of the log, and how long a slow
    client is waited for, which is `patience_s` instead of 10. A client of `claimed_port` says by
    the PROXY protocol which address it has, as a client from elsewhere would have one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        api: Sequence[str],
        relay: Sequence[str],
        flower: str = "127.0.0.1:9",
        patience_s: int = 10,
    ) -> None:
        self._folder = folder
        self.port, self.claimed_port, self.flower_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.access_log = folder / "access.log"
        self.process: Process
        (folder / "upstreams.conf").write_text(_upstreams(api, relay, flower))
        (folder / "stanchion.conf").write_text(self._servers(patience_s))
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))

    @staticmethod
    def program() -> str | None:
        """Return the path of nginx, None when it is not installed."""
        return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

    def __enter__(self) -> Self:
        command = [str(self.program()), "-c", f"{self._folder}/nginx.conf"]
        self.process = Process(command, log_path=self._folder / "log")
        wait_until(self._answers, "nginx answers", process=self.process)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.process.stop()

    def _answers(self) -> bool:
        return httpx.get(f"{self.url}/").status_code > 0

    def _servers(self, patience_s: int) -> str:
        text = (SHIPPED / "stanchion.conf").read_text()
        here = (
            f"listen 127.0.0.1:{self.port};\n"
            f"    listen 127.0.0.1:{self.claimed_port} proxy_protocol;\n"
            "    set_real_ip_from 127.0.0.1;\n"
            "    real_ip_header proxy_protocol;"
        )
        for old, new, count in (
            ("listen 80 default_server;", here, 1),
            ("    listen [::]:80 default_server;\n", "", 1),
            ("listen 127.0.0.1:8555;", f"listen 127.0.0.1:{self.flower_port};", 1),
            ("/var/log/nginx/access.log", str(self.access_log), 2),
            ("client_header_timeout 10s;", f"client_header_timeout {patience_s}s;", 2),
            ("client_body_timeout 10s;", f"client_body_timeout {patience_s}s;", 2),
        ):
            assert text.count(old) == count, old
            text = text.replace(old, new)
        return text


def _upstreams(api: Sequence[str], relay: Sequence[str], flower: str) -> str:
    """Return upstreams.conf with other addresses, each in a line like the first."""
    lines = []
    for line in (SHIPPED / "upstreams.conf").read_text().splitlines():
        match line.split():
            case ["server", "127.0.0.1:8080", *options]:
                lines += [f"server {' '.join((each, *options))}" for each in api]
            case ["server", "127.0.0.1:8081", *options]:
                lines += [f"server {' '.join((each, *options))}" for each in relay]
            case ["server", "127.0.0.1:5555;"]:
                lines += [f"server {flower};"]
            case ["server", "127.0.0.1:8090", *_]:
                pass
            case _:
                lines += [line]
    return "\n".join(lines)
