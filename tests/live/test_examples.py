"""The examples of docs/events.md, run as they are written but for the address."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.live.clients import PATIENCE_S
from tests.live.conftest import Live
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text()


@pytest.mark.parametrize(
    ("language", "word"), [("sh", "event: metrics"), ("js", "wait"), ("python", "metrics")]
)
def test_example_hears_the_state(
    live: Live, js_folder: Path, tmp_path: Path, language: str, word: str
) -> None:
    [example] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    text = example.replace("127.0.0.1:8080", live.url.removeprefix("http://"))
    command = {
        "sh": ["sh", "-c", f"exec {text}"],
        "js": ["node", "--input-type=module", "-e", text],
        "python": [sys.executable, "-c", text],
    }[language]

    with subprocess.Popen(
        command,
        cwd=js_folder if language == "js" else tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        deadline = threading.Timer(PATIENCE_S, running.kill)
        deadline.start()
        assert running.stdout is not None
        heard = next((line for line in running.stdout if word in line), None)
        running.kill()
        deadline.cancel()

    assert heard is not None
