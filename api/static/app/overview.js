// The console's first page: what needs a person, then each queue now and in the last hour, kept live.

import { signal } from "@preact/signals";
import { render } from "preact";

import { html } from "./html.js";
import { isAway } from "./live.js";
import { Cards } from "./overview_cards.js";
import { changed } from "./overview_hour.js";
import { startLive } from "./overview_live.js";
import { announce } from "./page.js";
import { locale, number, text } from "./texts.js";

const root = document.getElementById("overview");
const seen = signal(JSON.parse(root.dataset.first || "null"));
const hour = signal({}); // of each domain its last minutes

const ways = new Map(
  [...document.querySelectorAll(".ways a:not([hidden])")].map((a) => [
    a.getAttribute("href").split("/")[2] ?? "overview",
    a.getAttribute("href"),
  ]),
);

function sentence(notice) {
  const about =
    notice.kind.startsWith("component") ? text(`component.${notice.about}`) : notice.about;
  return text(`notice.${notice.kind}`, { about, count: number(notice.count) });
}

// What the page of a way is asked to show first, of those that can be asked.
const SHOWN = {
  messages_dead: () => "#dead",
  messages_old: ({ id }) => `?queue=${encodeURIComponent(id)}`,
  mail_frozen: () => "?status=frozen",
  mail_old: () => "?sort_by=timestamp&order=asc",
  room_full: ({ id }) => `?room=${encodeURIComponent(id)}`,
  room_stands: ({ id }) => `?room=${encodeURIComponent(id)}`,
  room_paused: ({ id }) => `?room=${encodeURIComponent(id)}`,
};

/** Return where one acts; whoever may not go there is told all the same. */
function placeOf(notice) {
  if (notice.kind.startsWith("component")) return "#components";
  const way = ways.get(notice.way);
  return way && way + (SHOWN[notice.kind]?.(notice) ?? "");
}

function Notice({ of }) {
  const said = html`<span><strong>${text(`level.${of.level}`)}</strong> ${sentence(of)}</span>`;
  const place = placeOf(of);
  return html`<li data-level=${of.level}>${place ? html`<a href=${place}>${said}</a>` : said}</li>`;
}

function Notices({ notices }) {
  if (notices.length === 0) return html`<p>${text("overview.calm")}</p>`;
  return html`<ul class="notices">
    ${notices.map((each) => html`<${Notice} key=${each.kind + each.about + each.id} of=${each} />`)}
  </ul>`;
}

function Overview() {
  const now = seen.value;
  if (now === null) return html`<h1>${text("overview.looking")}</h1>`;
  const time = new Date(now.at).toLocaleTimeString(locale);
  const states = Object.entries(now.components);
  return html`
    <h1>${text(now.attention.length ? "overview.attention" : "overview.well")}</h1>
    <${Notices} notices=${now.attention} />
    <${Cards} now=${now} hour=${hour.value} ways=${ways} />
    <h2 id="components">${text("overview.components")}</h2>
    <ul class="states">
      ${states.map(
        ([name, state]) => html`<li key=${name} data-state=${state}>
          ${text(`component.${name}`)}: ${text(`state.${state}`)}
        </li>`,
      )}
    </ul>
    <p class="as-of">${text(isAway.value ? "overview.stale" : "overview.as_of", { time })}</p>
  `;
}

if (!root.hidden) {
  root.replaceChildren();
  render(html`<${Overview} />`, root);
  let told = "";
  startLive({
    onOverview(answer) {
      seen.value = answer;
      const news = answer.attention.map(sentence).join(" ");
      if (news !== told) announce(news);
      told = news;
    },
    onHour({ domains }) {
      hour.value = domains;
    },
    onMinutes({ domain, minutes }) {
      hour.value = { ...hour.value, [domain]: changed(hour.value[domain] ?? [], minutes) };
    },
  });
}
