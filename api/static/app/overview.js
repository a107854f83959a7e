// The console's first page: what needs a person, then each queue at a glance, kept live.

import { signal } from "@preact/signals";
import { render } from "preact";

import { html } from "./html.js";
import { isAway, watch } from "./live.js";
import { announce } from "./page.js";
import { duration, language, number, text } from "./texts.js";

const EVERY_MS = 3_000;
const UNKNOWN = "\u2013";

const root = document.getElementById("overview");
const seen = signal(JSON.parse(root.dataset.first || "null"));

const figure = (value) => (value === null || value === undefined ? UNKNOWN : number(value));
const age = (seconds) => (seconds === null || seconds === undefined ? UNKNOWN : duration(seconds));

function sentence(notice) {
  const about =
    notice.kind.startsWith("component") ? text(`component.${notice.about}`) : notice.about;
  return text(`notice.${notice.kind}`, { about, count: number(notice.count) });
}

function Notices({ notices }) {
  if (notices.length === 0) return html`<p>${text("overview.calm")}</p>`;
  return html`<ul class="notices">
    ${notices.map(
      (each) => html`<li key=${each.kind + each.about} data-level=${each.level}>
        <a href=${wayOf(each.way)}>
          <span><strong>${text(`level.${each.level}`)}</strong> ${sentence(each)}</span>
        </a>
      </li>`,
    )}
  </ul>`;
}

const ways = new Map(
  [...document.querySelectorAll(".ways a:not([hidden])")].map((a) => [
    a.getAttribute("href").split("/")[2] ?? "overview",
    a.getAttribute("href"),
  ]),
);
const wayOf = (way) => ways.get(way) ?? "/ops";

function Card({ way, facts, isKnown = true, note }) {
  const title = text(`card.${way}`);
  return html`<section class="card" aria-labelledby=${`card-${way}`}>
    <h2 id=${`card-${way}`}>${ways.has(way) ? html`<a href=${ways.get(way)}>${title}</a>` : title}</h2>
    ${isKnown
      ? html`<dl>
          ${facts.map(
            ([name, value, isBad]) => html`<div key=${name}>
              <dt>${text(`fact.${name}`)}</dt>
              <dd class=${isBad ? "bad" : ""}>${value}</dd>
            </div>`,
          )}
        </dl>`
      : html`<p>${text("overview.unseen")}</p>`}
    ${note && html`<p class="note">${note}</p>`}
  </section>`;
}

function Messages({ of }) {
  const facts = of && [
    ["waiting", figure(of.queued)],
    ["processing", figure(of.processing)],
    ["oldest", age(of.oldest_seconds)],
    ["dead", figure(of.dead), of.dead > 0],
  ];
  return html`<${Card} way="messages" isKnown=${of !== null} facts=${facts} />`;
}

function Rooms({ of }) {
  const sum = (name) =>
    of.some((room) => room[name] === null) ? null : of.reduce((all, room) => all + room[name], 0);
  const facts = of && [
    ["rooms", figure(of.length)],
    ["open", figure(of.filter((room) => room.status === "active").length)],
    ["waiting", figure(sum("waiting"))],
    ["inside", figure(sum("inside"))],
  ];
  return html`<${Card} way="rooms" isKnown=${of !== null} facts=${facts} />`;
}

function Mail({ of }) {
  const facts = of && [
    ["waiting", figure(of.messages)],
    ["deferred", figure(of.deferred)],
    ["frozen", figure(of.frozen), of.frozen > 0],
    ["oldest", age(of.oldest_seconds)],
  ];
  const note = of && (of.hosts.length === 0 ? text("overview.no_host") : text(`trend.${of.trend}`));
  return html`<${Card} way="mail" isKnown=${of !== null} facts=${facts} note=${note} />`;
}

function Tickets({ of }) {
  const facts = of && [
    ["waiting", figure(of.waiting)],
    ["at_counters", figure(of.at_counters)],
    ["longest", age(of.longest_seconds)],
    ["counters", text("overview.of", { n: number(of.counters_open), all: number(of.counters) })],
  ];
  return html`<${Card} way="tickets" isKnown=${of !== null} facts=${facts} />`;
}

function Overview() {
  const now = seen.value;
  if (now === null) return html`<h1>${text("overview.looking")}</h1>`;
  const time = new Date(now.at).toLocaleTimeString(language);
  const states = Object.entries(now.components);
  return html`
    <h1>${text(now.attention.length ? "overview.attention" : "overview.well")}</h1>
    <${Notices} notices=${now.attention} />
    <div class="cards">
      <${Messages} of=${now.messages} />
      <${Rooms} of=${now.rooms} />
      <${Mail} of=${now.mail} />
      <${Tickets} of=${now.tickets} />
    </div>
    <h2>${text("overview.components")}</h2>
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
  watch("/api/ops/overview", {
    everyMs: EVERY_MS,
    onAnswer(answer) {
      if (!answer.components) {
        // The session is over, or the role has changed: the page itself says which.
        location.reload();
        return;
      }
      seen.value = answer;
      const news = answer.attention.map(sentence).join(" ");
      if (news !== told) announce(news);
      told = news;
    },
  });
}
