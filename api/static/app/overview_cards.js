// Each queue now: a card with its figures, its last hour as pictures, and the way to where one acts.

import { html } from "./html.js";
import { Hour, lately } from "./overview_hour.js";
import { duration, number, text } from "./texts.js";

const UNKNOWN = "\u2013";

const figure = (value) => (value === null || value === undefined ? UNKNOWN : number(value));
const age = (seconds) => (seconds === null || seconds === undefined ? UNKNOWN : duration(seconds));

export function Cards({ now, hour, ways }) {
  const kinds = { messages: Messages, rooms: Rooms, mail: Mail, tickets: Tickets };
  return html`<div class="cards">
    ${Object.entries(kinds).map(([domain, facts]) => {
      const of = domain === "rooms" ? { rooms: now.rooms, oldest: now.rooms_oldest_seconds } : now[domain];
      const isKnown = now[domain] !== null;
      return html`<${Card}
        key=${domain}
        domain=${domain}
        way=${ways.get(domain)}
        facts=${isKnown ? facts(of) : null}
        note=${isKnown && domain === "mail" ? noteOfMail(of) : null}
        minutes=${hour[domain] ?? []}
      />`;
    })}
  </div>`;
}

function Card({ domain, way, facts, note, minutes }) {
  const title = text(`card.${domain}`);
  const { came, done, failed } = lately(minutes);
  const moving = [
    ["in", figure(came)],
    ["out", figure(done)],
    ["failed", figure(failed)],
  ];
  return html`<section class="card" aria-labelledby=${`card-${domain}`}>
    <h2 id=${`card-${domain}`}>${way ? html`<a href=${way}>${title}</a>` : title}</h2>
    ${facts ? html`<${Facts} facts=${facts} />` : html`<p>${text("overview.unseen")}</p>`}
    <${Facts} facts=${moving} />
    ${note && html`<p class="note">${note}</p>`}
    <${Hour} domain=${domain} minutes=${minutes} />
  </section>`;
}

function Facts({ facts }) {
  return html`<dl>
    ${facts.map(
      ([name, value, isBad]) => html`<div key=${name}>
        <dt>${text(`fact.${name}`)}</dt>
        <dd class=${isBad ? "bad" : ""}>${value}</dd>
      </div>`,
    )}
  </dl>`;
}

function Messages(of) {
  return [
    ["waiting", figure(of.queued)],
    ["oldest", age(of.oldest_seconds)],
    ["processing", figure(of.processing)],
    ["dead", figure(of.dead), of.dead > 0],
  ];
}

function Rooms({ rooms, oldest }) {
  const sum = (name) =>
    rooms.some((room) => room[name] === null) ? null : rooms.reduce((all, room) => all + room[name], 0);
  const open = rooms.filter((room) => room.status === "active").length;
  return [
    ["waiting", figure(sum("waiting"))],
    ["oldest", age(oldest)],
    ["inside", figure(sum("inside"))],
    ["open", text("overview.of", { n: number(open), all: number(rooms.length) })],
  ];
}

function Mail(of) {
  return [
    ["waiting", figure(of.messages)],
    ["oldest", age(of.oldest_seconds)],
    ["deferred", figure(of.deferred)],
    ["frozen", figure(of.frozen), of.frozen > 0],
  ];
}

function noteOfMail(of) {
  return of.hosts.length === 0 ? text("overview.no_host") : text(`trend.${of.trend}`);
}

function Tickets(of) {
  return [
    ["waiting", figure(of.waiting)],
    ["longest", age(of.longest_seconds)],
    ["at_counters", figure(of.at_counters)],
    ["counters", text("overview.of", { n: number(of.counters_open), all: number(of.counters) })],
  ];
}
