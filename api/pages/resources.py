"""Pages for people: rendered whole by the server, in the reader's language, kept live by scripts.

docs/pages.md tells how a page is made.
"""

import asyncio
import gzip
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from falcon.asgi import App, Request, Response

from api.health import HealthMonitor
from api.http import languages
from api.http.caller import Proxies
from api.http.languages import Language
from api.pages import assets, templates
from api.pages import files as page_files
from models.errors import UnavailableError
from models.messages.service import MessageService
from models.vitals import Health

_THEME_COOKIE: Final = "stanchion_theme"
_THEMES: Final = frozenset({"light", "dark"})
# A page does not wait for a store that hangs: it says that it does not know yet.
_PATIENCE_S: Final = 0.5
_NO_NUMBER: Final = "\N{EN DASH}"
_HOST: Final = re.compile(r"[\w.-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?", re.ASCII)
# A path of ours: a second slash, or a backslash that browsers take for one, names another host.
_OWN_PATH: Final = re.compile(r"/(?![/\\])[^\\\x00-\x1f\x7f]*")

UserName = Callable[[Request], Awaitable[str | None]]
# Returns what is said of each domain at this moment, in a language.
Sentences = Callable[[Language], Awaitable[Mapping[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What pages say of this installation."""

    version: str
    address: str  # host:port, for who asks without a proper Host
    flower_url: str
    needs_key: Callable[[], bool]  # whether requests for messages must show one


class Page:
    """A page in each language; a subclass knows the values of its gaps."""

    name: str
    script: str
    layout = "layout"
    # The first words of the keys of what its scripts say; None: whatever any script says.
    spoken: frozenset[str] | None = None

    def __init__(self, facts: Facts, user_name: UserName, proxies: Proxies) -> None:
        self._facts: Final = facts
        self._proxies: Final = proxies
        self._user_name: Final = user_name
        self._languages: Final = languages.load()
        self._templates: Final = {each.name: self._template(each) for each in self._languages}
        self._headers: Final = page_files.headers()

    async def on_get(self, req: Request, resp: Response) -> None:
        """Send the page; `?lang=` chooses the language from now on."""
        resp.set_headers(self._headers)
        if lang := req.get_param("lang"):
            self._switch(req, resp, lang)
            return
        language = languages.choose(req, self._languages)
        name = await self._name(req)
        values = {
            **self._frame(req, language, name),
            **await self.values(req, language, name),
        }
        self._send(req, resp, language, values)

    def _send(
        self, req: Request, resp: Response, language: Language, values: Mapping[str, str]
    ) -> None:
        """Answer with the page in a language, its gaps filled."""
        page = self._templates[language.name].fill(values, language.texts).encode()
        resp.content_type = "text/html; charset=utf-8"
        resp.set_header("Content-Language", language.name)
        if assets.takes_gzip(req):
            resp.set_header("Content-Encoding", "gzip")
            page = gzip.compress(page, compresslevel=5, mtime=0)
        resp.data = page

    async def on_head(self, req: Request, resp: Response) -> None:
        """Send what a GET would, without the page."""
        await self.on_get(req, resp)

    async def values(
        self, req: Request, language: Language, user_name: str | None
    ) -> Mapping[str, str]:
        """Return what fills the gaps of this page alone."""
        raise NotImplementedError

    async def _name(self, req: Request) -> str | None:
        """Return the name of who is logged in; nobody is while that cannot be known."""
        try:
            return await asyncio.wait_for(self._user_name(req), _PATIENCE_S)
        except (UnavailableError, TimeoutError):
            return None

    def _template(self, language: Language) -> templates.Template:
        said = {
            key: words
            for key, words in language.script_texts.items()
            if self.spoken is None or key.partition(".")[0] in self.spoken
        }
        # "<" would end the element early or open a comment within it.
        texts = json.dumps(said, ensure_ascii=False).replace("<", "\\u003c")
        raw = {
            "chart_styles": page_files.CHART_STYLES,
            "font": page_files.FONT,
            "imports": page_files.IMPORT_MAP,
            "script": self.script,
            "texts": texts,
        }
        return templates.load(self.name, raw, layout=self.layout)

    def _switch(self, req: Request, resp: Response, lang: str) -> None:
        """Remember a language and lead back to the page, so that no address names it."""
        chosen = next((each for each in self._languages if each.name == lang), None)
        if chosen:
            languages.remember(resp, chosen, is_secure=self._proxies.is_secure(req))
        resp.status = HTTPStatus.SEE_OTHER
        resp.set_header("Location", _address(req.path, req.get_param("next")))

    def _frame(self, req: Request, language: Language, user_name: str | None) -> dict[str, str]:
        """Return the values of the layout."""
        theme = req.cookies.get(_THEME_COOKIE, "")
        other = next(each for each in self._languages if each is not language)
        following = req.get_param("next")
        return {
            "lang": language.name,
            "other_lang": other.name,
            "switch": _address(req.path, following, lang=other.name),
            "theme": theme if theme in _THEMES else "auto",
            "title": self._title(language),
            "version": self._facts.version,
            "user_name": user_name or "",
            "log_in": "/login" if req.path in {"/", "/login"} else _address("/login", req.path),
            "hidden_from_users": "hidden" if user_name else "",
            "hidden_from_guests": "" if user_name else "hidden",
        }

    def _title(self, language: Language) -> str:
        title = language.texts[f"{self.name}.title"]
        brand = language.texts["start.title"]
        return title if title == brand else f"{title} · {brand}"


class StartPage(Page):
    """`/`: what runs here."""

    name = "start"
    script = "start.js"

    def __init__(
        self,
        facts: Facts,
        user_name: UserName,
        proxies: Proxies,
        *,
        monitor: HealthMonitor,
        messages: MessageService,
        now: Sentences,
    ) -> None:
        super().__init__(facts, user_name, proxies)
        self._now: Final = now
        self._monitor: Final = monitor
        self._messages: Final = messages

    async def values(
        self, req: Request, language: Language, user_name: str | None
    ) -> Mapping[str, str]:
        """Return the health and the counts of this moment."""
        del user_name
        states, counts, now = await asyncio.gather(
            self._states(), self._counts(language), self._now(language)
        )
        words = language.script_texts
        summary = _summary(states)
        needs_key = self._facts.needs_key()
        return {
            "summary": summary,
            "word.summary": words[f"summary.{summary}"],
            **{f"state.{name}": state for name, state in states.items()},
            **{f"word.{name}": words[f"state.{state}"] for name, state in states.items()},
            **{f"count.{name}": count for name, count in counts.items()},
            **{f"now.{name}": sentence for name, sentence in now.items()},
            "origin": origin_of(req, self._proxies, self._facts.address),
            "key": '-H "X-API-KEY: $KEY" ' if needs_key else "",
            "hidden_without_keys": "" if needs_key else "hidden",
            "flower": self._facts.flower_url,
        }

    async def _states(self) -> dict[str, str]:
        try:
            components = await asyncio.wait_for(self._monitor.components(), _PATIENCE_S)
        except TimeoutError:
            return dict.fromkeys(("database", "redis", "broker", "workers", "beat"), "unknown")
        return {name: health.value for name, health in components.items()}

    async def _counts(self, language: Language) -> dict[str, str]:
        names = ("queued", "processing", "acknowledged", "dead")
        try:
            counts = (await asyncio.wait_for(self._messages.status(), _PATIENCE_S)).counts
        except (UnavailableError, TimeoutError):
            return dict.fromkeys(names, _NO_NUMBER)
        return {name: language.number(getattr(counts, name)) for name in names}


class LoginPage(Page):
    """`/login`: the form; the script sends it to `/api/v1/auth/login`, then goes to `next`."""

    name = "login"
    script = "login.js"

    async def values(
        self, req: Request, language: Language, user_name: str | None
    ) -> Mapping[str, str]:
        """Return where to go next: a path of this server, whatever the address says."""
        already = language.texts["login.already"].replace("{name}", user_name or "")
        return {"next": own_path(req.get_param("next")), "already": already}


def origin_of(req: Request, proxies: Proxies, address: str) -> str:
    """Return the address at which we were asked; `address` for who asks without a proper Host."""
    host = req.get_header("Host", default="")
    scheme = "https" if proxies.is_secure(req) else "http"
    return f"{scheme}://{host if _HOST.fullmatch(host) else address}"


def own_path(wanted: str | None) -> str:
    """Return a path of this server: `wanted` if it is one, else the start page."""
    return wanted if wanted is not None and _OWN_PATH.fullmatch(wanted) else "/"


def add_routes(
    app: App[Any, Any],
    facts: Facts,
    *,
    monitor: HealthMonitor,
    messages: MessageService,
    now: Sentences,
    user_name: UserName,
    proxies: Proxies,
    more: Sequence[Callable[[App[Any, Any], Facts], None]] = (),
) -> None:
    """Serve the pages and their files, and those that each of `more` adds.

    `user_name` tells who a request's session belongs to.
    """
    start = StartPage(facts, user_name, proxies, monitor=monitor, messages=messages, now=now)
    app.add_route("/", start)
    app.add_route("/login", LoginPage(facts, user_name, proxies))
    for add in more:
        add(app, facts)
    assets.add_routes(app, page_files.FILES)


def _summary(states: Mapping[str, str]) -> str:
    """Return one word for all components: nothing is served without the database."""
    if states["database"] == Health.UNHEALTHY.value:
        return Health.UNHEALTHY.value
    if "unknown" in states.values():
        return "unknown"
    is_whole = all(state == Health.HEALTHY.value for state in states.values())
    return (Health.HEALTHY if is_whole else Health.DEGRADED).value


def _address(path: str, following: str | None, **parameters: str) -> str:
    """Return a path of ours with its query."""
    if following is not None:
        parameters["next"] = own_path(following)
    return f"{path}?{urlencode(parameters)}" if parameters else path
