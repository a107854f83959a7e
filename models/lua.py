"""Lua scripts, which Redis runs as one step each; every file of them says what it takes."""

from functools import cache
from pathlib import Path
from typing import Final

_MODELS: Final = Path(__file__).parent


@cache
def read_script(owner: str, name: str) -> str:
    """Return the text of `models/<owner>/lua/<name>` without its comments."""
    lines = (_MODELS / owner / "lua" / name).read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))
