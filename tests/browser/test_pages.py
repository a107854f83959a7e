"""What the server sends for a page, before any script runs."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.languages import load
from api.pages.resources import own_path

pytestmark = pytest.mark.xdist_group("browser")

STATIC = Path(__file__).resolve().parents[2] / "api" / "static"
SCRIPTS = sorted((STATIC / "app").glob("*.js"))
PAGES = ("/", "/login")
# What the browser makes of an address differs from what a URL library does; both must agree.
EVIL = (
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "javascript:0",
)


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self._in_script:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def handle_endtag(self, _tag: str) -> None:
        self._in_script = False


def imports_of(page: str) -> tuple[str, dict[str, str]]:
    [text] = [
        text for attributes, text in Elements(page).scripts if attributes.get("type") == "importmap"
    ]
    return text, json.loads(text)["imports"]


# Policy --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_policy_allows_own_files_and_nothing_else(http: httpx.Client, path: str) -> None:
    answer = http.get(path)

    rules = dict(
        rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";")
    )
    text, _ = imports_of(answer.text)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'self' 'sha256-{digest}'"
    assert rules["style-src"] == rules["connect-src"] == rules["img-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("path", PAGES)
def test_page_has_nothing_inline(http: httpx.Client, path: str) -> None:
    elements = Elements(http.get(path).text)

    attributes = {name for _, each in elements.found for name in each}
    assert [name for name in attributes if name == "style" or name.startswith("on")] == []
    assert "style" not in {tag for tag, _ in elements.found}
    inline = [each.get("type") for each, text in elements.scripts if text.strip()]
    assert inline == ["importmap", "application/json"]


@pytest.mark.parametrize("path", PAGES)
def test_each_file_that_a_page_names_is_served(http: httpx.Client, path: str) -> None:
    page = http.get(path).text

    _, imports = imports_of(page)
    named = [
        each.get("src") or each.get("href")
        for tag, each in Elements(page).found
        if tag in {"script", "link", "img"}
    ]
    files = [*imports.values(), *(name for name in named if name)]
    assert {file: http.head(file).status_code for file in files} == dict.fromkeys(files, 200)


def test_each_module_imports_what_is_served(http: httpx.Client) -> None:
    _, imports = imports_of(http.get("/").text)

    missing = [
        f"{script.name}: {name}"
        for script in SCRIPTS
        for name in re.findall(r'(?:from|import)\s*\(?"([^"]+)"', script.read_text())
        if http.head(imports.get(name) or urljoin("/static/app/", name)).status_code != 200
    ]
    assert missing == []


def test_style_sheet_names_only_files_that_are_served(http: httpx.Client) -> None:
    files = re.findall(r'url\("([^"]+)"\)', (STATIC / "app" / "app.css").read_text())

    assert {file: http.head(file).status_code for file in files} == dict.fromkeys(files, 200)


# Languages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("", "en"),
        ("vi", "vi"),
        ("vi-VN,vi;q=0.9,en;q=0.8", "vi"),
        ("en-GB,en;q=0.9,vi;q=0.8", "en"),
        ("en;q=0.5, vi;q=0.7", "vi"),
        ("fr-FR, vi;q=0.3", "vi"),
        ("vi;q=0, en", "en"),
        ("vi;q=x, *", "en"),
    ],
)
def test_page_comes_in_the_language_of_the_reader(
    http: httpx.Client, wanted: str, language: str
) -> None:
    answer = http.get("/", headers={"Accept-Language": wanted})

    assert answer.headers["content-language"] == language
    assert f'<html lang="{language}"' in answer.text
    assert "Accept-Language" in answer.headers["vary"]


def test_a_chosen_language_is_remembered(http: httpx.Client) -> None:
    chosen = http.get("/login?lang=vi&next=/api/reference")

    assert chosen.status_code == 303
    assert chosen.headers["location"] == "/login?next=%2Fapi%2Freference"
    assert '<html lang="vi"' in http.get("/", headers={"Accept-Language": "en"}).text


def test_an_unknown_language_changes_nothing(http: httpx.Client) -> None:
    answer = http.get("/?lang=%22%3E", headers={"Accept-Language": "vi"})

    assert answer.headers["location"] == "/"
    assert "set-cookie" not in answer.headers


def blanks(texts: Mapping[str, str]) -> dict[str, list[str]]:
    return {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in texts.items()}


def test_languages_say_the_same_things() -> None:
    english, vietnamese = load()

    assert english.texts.keys() == vietnamese.texts.keys()
    assert blanks(english.texts) == blanks(vietnamese.texts)


def test_scripts_say_what_the_languages_have() -> None:
    [language, _] = load()
    source = "".join(script.read_text() for script in SCRIPTS)

    said = set(re.findall(r'"((?:\w+)\.(?:\w+))"', source)) & {
        f"{group}.{name}"
        for group in {key.split(".")[0] for key in language.script_texts}
        for name in re.findall(r'"\w+\.(\w+)"', source)
    }
    assert said - language.script_texts.keys() == set()
    # By a name that comes from the server.
    whole_groups = {
        *("summary", "state", "headline", "note"),
        *("counter", "officer", "priority", "reason", "refusal"),
        *("feedback", "holder", "tell"),
        *("clips", "day", "hall", "numbering", "policy"),
        *("card", "component", "fact", "level", "notice", "now", "overview", "pulse"),
        "trend",
        *("display", "kiosk"),
        *("board", "dead", "find", "life", "mail", "messages", "one", "tail"),
        *("audit", "people", "role", "room", "rooms", "scope"),
    }
    unsaid = {key for key in language.script_texts if key.split(".")[0] not in whole_groups} - said
    assert unsaid == set()


# What others may put into a page -------------------------------------------------------------


def test_start_page_shows_the_address_it_was_asked_at(http: httpx.Client) -> None:
    page = http.get("/", headers={"Host": "queues.example:8443"}).text

    assert ">http://queues.example:8443</span>/api/queue/message" in page


def test_start_page_shows_the_scheme_that_the_proxy_was_asked_by(http: httpx.Client) -> None:
    headers = {"Host": "queues.example", "X-Forwarded-Proto": "https"}

    assert ">https://queues.example</span>/api/queue/message" in http.get("/", headers=headers).text
    chosen = http.get("/?lang=vi", headers=headers, follow_redirects=False)
    assert "Secure" in chosen.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "host", ['"><script>alert(0)</script>', "two words.example", "evil;rm -rf", "[::1"]
)
def test_start_page_shows_no_address_that_is_none(http: httpx.Client, host: str) -> None:
    page = http.get("/", headers={"Host": host}).text

    assert host not in page
    assert f">{http.base_url}</span>" in page.replace(f"{http.base_url}/", str(http.base_url))


@pytest.mark.parametrize("wanted", EVIL)
def test_login_leads_to_no_other_host(http: httpx.Client, wanted: str) -> None:
    page = http.get("/login", params={"next": wanted}).text

    assert 'data-next="/"' in page


@given(st.text(alphabet=st.sampled_from("/\\:@.?#ae\t\n\r \x00%25"), max_size=12) | st.text())
def test_next_is_always_a_path_of_this_server(wanted: str) -> None:
    path = own_path(wanted)

    # As browsers read it: a backslash is a slash, tabs and line ends are dropped.
    read = re.sub(r"[\t\n\r]", "", path.replace("\\", "/"))
    assert urlsplit(urljoin("http://here.example/login", read)).netloc == "here.example"


def test_next_cannot_leave_its_attribute(http: httpx.Client) -> None:
    page = http.get("/login", params={"next": '/"><img src=x onerror=alert(0)>'}).text

    assert "<img src=x" not in page


def test_page_is_compressed_for_who_takes_it(http: httpx.Client) -> None:
    answer = http.get("/", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text.startswith("<!doctype html>")


def test_head_says_what_get_would_send(http: httpx.Client) -> None:
    answer: Any = http.head("/login")

    assert answer.status_code == 200
    assert answer.text == ""
    assert "content-security-policy" in answer.headers
