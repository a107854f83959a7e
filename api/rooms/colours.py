"""The colours of a room's page: what its owner chose, made readable.

Text keeps the contrast that WCAG 2.2 asks for, 4.5 to 1, whatever colours were chosen: one that
is too near its ground is moved towards black or white until it is far enough.
"""

from typing import Final

from falcon.asgi import Request, Response

from models.rooms.registry import Registry
from models.rooms.room import Colours

Rgb = tuple[int, int, int]

_TEXT_CONTRAST: Final = 4.5
_STEPS: Final = 40
_MIDDLE: Final = 0.179  # of luminance: where black and white differ alike
_BLACK: Final[Rgb] = (0, 0, 0)
_WHITE: Final[Rgb] = (255, 255, 255)
# As in app.css, which a room without colours keeps.
_PAPER: Final = {"light": "#fcfbf9", "dark": "#141412"}
_PANEL: Final = {"light": "#f4f2ed", "dark": "#1e1d1a"}
_ACCENT: Final = {"light": "#14655c", "dark": "#7cc7bb"}
_INK: Final = {"light": "#1d1b18", "dark": "#eeebe4"}
_STATES: Final = {
    "light": {"good": "#1e7b52", "weak": "#95600b", "bad": "#b42318"},
    "dark": {"good": "#6cc79a", "weak": "#e0b04f", "bad": "#f38b7f"},
}


class ColoursResource:
    """`/wait/{queue_id}/colours.css`: the colours of a room; its address names the version."""

    def __init__(self, registry: Registry) -> None:
        self._registry: Final = registry

    async def on_get(self, _req: Request, resp: Response, queue_id: str) -> None:
        """Send the rules, none for a room without colours."""
        room = await self._registry.find(queue_id)
        resp.text = style_sheet(room.appearance.colours)
        resp.content_type = "text/css; charset=utf-8"
        resp.set_header("Cache-Control", "public, max-age=3600")
        resp.set_header("X-Content-Type-Options", "nosniff")


def style_sheet(colours: Colours) -> str:
    """Return the CSS that puts a room's colours in the place of ours; empty for none."""
    if colours.background is not None:
        scheme = "light" if _luminance(_rgb(colours.background)) > _MIDDLE else "dark"
        tokens = _own_ground(colours, colours.background, scheme)
        # The room has one look: there is nothing to choose.
        rules = [
            f":root,:root[data-theme]{{color-scheme:{scheme};{_declare(tokens)}}}",
            "#theme{display:none}",
        ]
    elif colours.accent is not None or colours.text is not None:
        light, dark = (_declare(_our_ground(colours, scheme)) for scheme in ("light", "dark"))
        rules = [
            f":root{{{light}}}",
            f'@media (prefers-color-scheme:dark){{:root[data-theme="auto"]{{{dark}}}}}',
            f':root[data-theme="dark"]{{{dark}}}',
        ]
    else:
        return ""
    # Paper has the colours of app.css.
    return "@media screen{" + "".join(rules) + "}\n"


def contrast(one: Rgb, other: Rgb) -> float:
    """Return the contrast of two colours, 1 to 21. Source: WCAG 2.2."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _own_ground(colours: Colours, background: str, scheme: str) -> dict[str, Rgb]:
    paper = _rgb(background)
    ink = _readable(_rgb(colours.text or _INK[scheme]), paper)
    panel = _panel(paper, ink)
    accent = _readable(_rgb(colours.accent or _ACCENT[scheme]), paper, panel)
    return {
        "paper": paper,
        "panel": panel,
        "line": _mix(paper, ink, 0.16),
        "ink": _readable(ink, paper, panel),
        "soft": _readable(_mix(paper, ink, 0.68), paper, panel),
        "accent": accent,
        "on-accent": _far_from(accent),
        **{name: _readable(_rgb(each), paper) for name, each in _STATES[scheme].items()},
    }


def _panel(paper: Rgb, ink: Rgb) -> Rgb:
    """Return a ground a little off the page's, on which something can still be read."""
    for share in (0.05, 0.03, 0.01):
        panel = _mix(paper, ink, share)
        if contrast(_far_from(paper), panel) >= _TEXT_CONTRAST:
            return panel
    return paper


def _our_ground(colours: Colours, scheme: str) -> dict[str, Rgb]:
    paper, panel = _rgb(_PAPER[scheme]), _rgb(_PANEL[scheme])
    tokens = {}
    if colours.text is not None:
        tokens["ink"] = _readable(_rgb(colours.text), paper, panel)
    if colours.accent is not None:
        tokens["accent"] = accent = _readable(_rgb(colours.accent), paper, panel)
        tokens["on-accent"] = _far_from(accent)
    return tokens


def _readable(colour: Rgb, *grounds: Rgb) -> Rgb:
    """Return the nearest colour that can be read on all these grounds, as far as there is one."""
    goal = _far_from(grounds[0])
    for step in range(_STEPS + 1):
        moved = _mix(colour, goal, step / _STEPS)
        if all(contrast(moved, ground) >= _TEXT_CONTRAST for ground in grounds):
            return moved
    return goal


def _far_from(ground: Rgb) -> Rgb:
    """Return black or white, whichever differs more; its contrast is at least 4.58."""
    return max((_BLACK, _WHITE), key=lambda each: contrast(each, ground))


def _mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _rgb(text: str) -> Rgb:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _luminance(colour: Rgb) -> float:
    red, green, blue = (
        value / 3294.6 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4  # noqa: PLR2004
        for value in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _declare(tokens: dict[str, Rgb]) -> str:
    return "".join(
        f"--{name}:#{red:02x}{green:02x}{blue:02x};" for name, (red, green, blue) in tokens.items()
    )
