"""The bench of a mail queue: it runs to its end on a short one, and says each of its figures."""

import pytest

from bench.mail import main
from tests.mail.exim_server import require_exim


def test_a_quick_run_says_each_figure(capsys: pytest.CaptureFixture[str]) -> None:
    require_exim()

    main(["--quick", "--sizes", "60"])

    said = capsys.readouterr().out
    assert "### 60 messages" in said
    for figure in ("a part of the sender", "frozen by hand", "the watcher", "freeze 60 ids"):
        assert figure in said
