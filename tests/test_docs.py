import importlib
import re
import subprocess
from pathlib import Path

import pytest

from api.http.errors import STATUSES
from models.errors import StanchionError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("api", "workers", "beat", "models")
# These open connections when they are imported.
PROGRAMS = {"api/asgi.py", "workers/main.py", "beat/main.py"}
ERRORS = (ROOT / "docs" / "errors.md").read_text()


def tracked(*suffixes: str) -> list[str]:
    """Return the files of the project, also those that are about to be added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    names = set(listed.stdout.splitlines())
    return sorted(name for name in names if name.endswith(suffixes) and (ROOT / name).is_file())


def prose(path: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", (ROOT / path).read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path: str) -> set[str]:
    """Return what a link may name after `#`: headings, in lower case, with dashes for spaces."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in headings}


# Links ---------------------------------------------------------------------------------------


def test_each_link_within_the_project_leads_somewhere() -> None:
    broken = [
        f"{page}: {target}"
        for page in tracked(".md")
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))
        if "://" not in target and not leads_somewhere(page, target)
    ]

    assert broken == []


def leads_somewhere(page: str, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = ((ROOT / page).parent / path).resolve() if path else ROOT / page
    if not there.exists():
        return False
    return not anchor or anchor in anchors(there.relative_to(ROOT).as_posix())


def test_each_page_is_in_the_index() -> None:
    for index in ("docs/README.md", "docs/adr/README.md"):
        folder = (ROOT / index).parent
        pages = {path.name for path in folder.glob("*.md")} - {"README.md"}

        assert pages - set(re.findall(r"\]\(([^)]+\.md)\)", prose(index))) == set()


# Errors --------------------------------------------------------------------------------------


def error_classes() -> list[type[StanchionError]]:
    """Return every class of error of the product, its root included."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in PROGRAMS and "/migrations/" not in name:
                importlib.import_module(
                    name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                )
    found = [StanchionError]
    for each in found:
        found += each.__subclasses__()
    return [each for each in found if each.__module__.split(".")[0] in PACKAGES]


def documented_codes() -> set[str]:
    _, _, codes = ERRORS.partition("\n## Codes\n")
    return set(re.findall(r"^\| `(\w+)` \|", codes, re.MULTILINE))


def test_each_code_is_explained_and_each_explained_code_exists() -> None:
    assert documented_codes() == {each.code for each in error_classes()}


def test_each_error_has_a_code_of_its_own() -> None:
    codes = [each.code for each in error_classes()]

    assert sorted({code for code in codes if codes.count(code) > 1}) == []


def test_each_family_has_a_status_and_the_page_says_which() -> None:
    families = {
        each for each in StanchionError.__subclasses__() if each.__module__ == "models.errors"
    }
    rows = dict(re.findall(r"^\| `(\w+Error)` \| (\d+) \|", ERRORS, re.MULTILINE))

    assert set(STATUSES) == families
    assert rows == {each.__name__: str(status.value) for each, status in STATUSES.items()}


# What does not belong into the project -------------------------------------------------------


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(r"(?<![\w.~}])/(work|root|home|Users|tmp)/\w", id="path of a machine"),
        pytest.param(
            r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|yarnpkg\.com|deb\.debian\.org"
            r"|docker\.io|ghcr\.io|quay\.io",
            id="host of a registry",
        ),
    ],
)
def test_files_name_no(stranger: str) -> None:
    found = []
    for path in tracked(""):
        if path == "tests/test_docs.py" or path.startswith("api/static/vendor/"):
            continue
        try:
            lines = (ROOT / path).read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path}:{i}: {line}" for i, line in enumerate(lines, 1) if re.search(stranger, line)
        ]

    assert found == []
