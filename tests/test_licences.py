import json
import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "dependencies.md").read_text()
# Each permits commercial use; the page says what the last three ask for.
ALLOWED = {
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Apache-2.0",
    "PSF-2.0",
    "OFL-1.1",
    "MPL-2.0",
    "LGPL-3.0-only",
}
# What authors wrote before there was a field for SPDX expressions.
SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "Apache License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "New BSD": "BSD-3-Clause",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def locked(lock: str) -> dict[str, str]:
    """Return the entry of each distribution in a lock: its version, marker and hashes."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    return {re.split(r"[=\[]", entry, maxsplit=1)[0]: entry for entry in entries}


def listed() -> dict[str, str]:
    """Return the licence of each package on the page."""
    rows = re.findall(r"^\| (\S+) \| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE)
    return {name: licence for name, licence in rows if name not in {"package", "---"}}


def terms(expression: str) -> set[str]:
    return set(re.split(r" (?:OR|AND) ", expression))


def is_for_this_platform(name: str) -> bool:
    """Say whether a distribution is here; one whose entry has no marker must be."""
    try:
        metadata(name)
    except PackageNotFoundError:
        assert ";" in TESTS_LOCKED[name], f"{name} is not installed"
        return False
    return True


def licences_told_by(name: str) -> set[str]:
    """Return the SPDX identifiers of what a distribution says of itself, however it says it."""
    told = metadata(name)
    if told["License-Expression"]:
        return terms(told["License-Expression"])
    field = SPELLINGS.get(told["License"], told["License"])
    if field in ALLOWED:
        return {field}
    classifiers = told.get_all("Classifier") or []
    said = {line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")}
    return {SPELLINGS.get(line, line) for line in said}


LOCKED = locked("requirements.lock")
TESTS_LOCKED = locked("requirements-test.lock")


def test_each_locked_distribution_has_its_line_on_the_page() -> None:
    assert sorted(LOCKED.keys() - listed().keys()) == []


def test_page_lists_nothing_that_is_not_locked() -> None:
    vendored = {each["name"] for each in vendored_packages()}

    assert sorted(listed().keys() - TESTS_LOCKED.keys() - vendored) == []


def test_each_licence_on_the_page_permits_commercial_use() -> None:
    assert {name: each for name, each in listed().items() if not terms(each) <= ALLOWED} == {}


def test_each_distribution_is_under_a_licence_that_permits_commercial_use() -> None:
    told = {name: licences_told_by(name) for name in TESTS_LOCKED if is_for_this_platform(name)}

    assert {name: each for name, each in told.items() if not each or not each <= ALLOWED} == {}
    # The page may say more than a distribution does, never something else.
    assert {
        name: each
        for name, each in told.items()
        if name in listed() and not each <= terms(listed()[name])
    } == {}


def test_each_lock_names_hashes() -> None:
    entries = LOCKED.items() | TESTS_LOCKED.items()

    assert [name for name, entry in entries if "--hash=sha256:" not in entry] == []
    assert [name for name, entry in entries if not re.match(r"\S+==\d", entry)] == []


def test_locks_agree_in_every_version() -> None:
    pinned = {name: entry.split()[0] for name, entry in TESTS_LOCKED.items()}

    assert {name: entry.split()[0] for name, entry in LOCKED.items()}.items() <= pinned.items()


def test_each_vendored_package_has_its_line_on_the_page() -> None:
    told = {each["name"]: each["licence"] for each in vendored_packages()}

    assert told.items() <= listed().items()


def vendored_packages() -> list[dict[str, str]]:
    lock = ROOT / "api" / "static" / "vendor" / "vendor.lock.json"
    packages: list[dict[str, str]] = json.loads(lock.read_text())["packages"]
    return packages
