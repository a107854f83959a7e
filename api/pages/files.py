"""The files that pages are made of, and the policy that allows them and nothing else.

Nothing comes from another host, and nothing is inline but the import map, which browsers take in no
other way; the policy names its hash.
"""

import base64
import hashlib
import json
from typing import Final

from api.pages import assets

_INTER: Final = "vendor/fontsource-variable-inter-5.3.0"
FONT: Final = f"{_INTER}/inter-latin-wght-normal.woff2"
CHART_STYLES: Final = "vendor/uplot-1.6.32/uPlot.min.css"
# What a module may import by name; the rest is imported by relative paths.
_IMPORTS: Final = {
    "@preact/signals": "vendor/preact-signals-2.11.4/signals.mjs",
    "@preact/signals-core": "vendor/preact-signals-core-1.14.5/signals-core.mjs",
    "htm": "vendor/htm-3.1.1/htm.mjs",
    "preact": "vendor/preact-11.2.0/preact.mjs",
    "preact/hooks": "vendor/preact-11.2.0/hooks.mjs",
    "socket.io-client": "vendor/socket.io-client-4.8.4/socket.io.esm.min.js",
    "uplot": "vendor/uplot-1.6.32/uPlot.esm.js",
}
FILES: Final = (
    *_IMPORTS.values(),
    CHART_STYLES,
    FONT,
    f"{_INTER}/inter-latin-ext-wght-normal.woff2",
    f"{_INTER}/inter-vietnamese-wght-normal.woff2",
    "app/account.js",
    "app/activity.js",
    "app/app.css",
    "app/ask.js",
    "app/chart.js",
    "app/clock.js",
    "app/clock_worker.js",
    "app/console.css",
    "app/console_parts.js",
    "app/copy.js",
    "app/desk.js",
    "app/hall_clips.js",
    "app/hall_line.js",
    "app/hall_page.css",
    "app/hall_page.js",
    "app/hall_reports.js",
    "app/hall_settings.js",
    "app/display.js",
    "app/display_sounds.js",
    "app/display_voice.js",
    "app/health.js",
    "app/html.js",
    "app/kiosk.js",
    "app/kiosk_key.js",
    "app/line.js",
    "app/live.js",
    "app/login.js",
    "app/looks.js",
    "app/messages.js",
    "app/now.js",
    "app/officer.css",
    "app/officer.js",
    "app/officer_dialogs.js",
    "app/officer_keys.js",
    "app/officer_parts.js",
    "app/ops.css",
    "app/ops_audit.js",
    "app/ops_mail.js",
    "app/ops_mail_act.js",
    "app/ops_mail_all.js",
    "app/ops_mail_around.js",
    "app/ops_mail_dialogue.js",
    "app/ops_mail_envelope.js",
    "app/ops_mail_one.js",
    "app/ops_mail_remarks.js",
    "app/ops_messages.js",
    "app/ops_messages_dead.js",
    "app/ops_messages_find.js",
    "app/ops_messages_tail.js",
    "app/ops_people.js",
    "app/ops_rooms.js",
    "app/ops_rooms_one.js",
    "app/overview.js",
    "app/overview_cards.js",
    "app/overview_hour.js",
    "app/overview_live.js",
    "app/page.js",
    "app/plots.js",
    "app/screens.css",
    "app/spans.js",
    "app/start.js",
    "app/texts.js",
    "app/theme.js",
    "app/ticket.css",
    "app/ticket.js",
    "app/ticket_feedback.js",
    "app/ticket_tell.js",
    "app/ticket_worker.js",
    "app/wait.js",
    "icon.svg",
)
IMPORT_MAP: Final = json.dumps(
    {"imports": {name: assets.PREFIX + path for name, path in _IMPORTS.items()}}
)


def headers() -> list[tuple[str, str]]:
    """Return what every page is sent with."""
    digest = base64.b64encode(hashlib.sha256(IMPORT_MAP.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self';"
        " img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return [
        ("Cache-Control", "no-cache, private"),
        ("Content-Security-Policy", policy),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Referrer-Policy", "same-origin"),
        ("Vary", "Accept-Encoding, Accept-Language, Cookie"),
        ("X-Content-Type-Options", "nosniff"),
    ]
