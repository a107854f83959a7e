// One room: how fast and how many, tried out before it is applied; its state, its sessions, its draw.

import { useState } from "preact/hooks";

import { ask } from "./ask.js";
import { act, Asking, moment, say, Table } from "./console_parts.js";
import { html } from "./html.js";
import { span } from "./spans.js";
import { number, text } from "./texts.js";

const STATES = ["active", "paused", "maintenance", "closed"];
const GRAVE = new Set(["maintenance", "closed"]); // visitors are turned away
const SESSION_SHARE = 0.5; // people leave a site after half of what they are allowed
// A slider reaches to four times what is set, so that its middle is fine enough; the field takes any number.
const REACH = 4;
const RATE_REACH_MIN = 20;
const CAPACITY_REACH_MIN = 100;

const pathOf = (room) => `/api/v1/admin/queues/${encodeURIComponent(room.id)}`;

/** Reckon how long somebody waits who joins now, by what is set; null where nobody is let in. */
function waitSeconds({ status, opensInS, waiting, inside, rate, capacity, sessionS }) {
  if (status !== "active" || !(rate > 0 && capacity > 0)) return null;
  const returning = Math.min(rate, capacity / Math.max(sessionS * SESSION_SHARE, 1));
  const free = Math.min(Math.max(capacity - inside, 0), waiting);
  return Math.ceil(opensInS + free / rate + (waiting - free) / returning);
}

export function Room({ room, now, detail }) {
  return html`
    <section aria-labelledby="room">
      <h2 id="room">${room.name}</h2>
      <p><code>${room.id}</code></p>
      <${State} room=${room} />
      <${Today} detail=${detail} />
    </section>
    <${Dials} room=${room} now=${now} />
    <${Sessions} room=${room} detail=${detail} />
    ${room.draw && html`<${Draw} draw=${detail?.draw} />`}
  `;
}

function State({ room }) {
  const [grave, setGrave] = useState(null);
  const change = (status) => act(() => ask("PATCH", pathOf(room), { status }));
  return html`
    <div class="row" role="group" aria-label=${text("rooms.state")}>
      ${STATES.map(
        (each) => html`<button
          key=${each}
          type="button"
          class="copy"
          aria-pressed=${room.status === each}
          onClick=${() => room.status !== each && (GRAVE.has(each) ? setGrave(each) : change(each))}
        >
          ${text(`room.${each}`)}
        </button>`,
      )}
    </div>
    <p class="soft">${text(`room.${room.status}_what`)}</p>
    ${grave &&
    html`<${Asking} title=${text(`room.${grave}`)} yes=${text("rooms.yes")} onYes=${() => change(grave)} onClose=${() => setGrave(null)}>
      <p>${text(`room.${grave}_what`)}</p>
    <//>`}
  `;
}

function Today({ detail }) {
  if (!detail) return html`<p>${text("board.looking")}</p>`;
  const { stats } = detail;
  const facts = [
    ["enqueued", number(stats.total_enqueued_today)],
    ["admitted", number(stats.total_admitted_today)],
    ["mean", span(stats.avg_wait_time_seconds)],
    ["peak", number(stats.peak_queue_size_today)],
    ["actual", number(stats.admission_rate_actual)],
  ];
  return html`<dl class="facts">
    ${facts.map(([name, value]) => html`<div key=${name}><dt>${text(`rooms.${name}`)}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

function Dials({ room, now }) {
  const [draft, setDraft] = useState(null); // {rate, capacity}, as long as they are not applied
  const set = { rate: room.admission_rate, capacity: room.max_active_users };
  const { rate, capacity } = draft ?? set;
  const try_ = (changes) => setDraft({ rate, capacity, ...changes });
  async function apply(event) {
    event.preventDefault();
    const done = await act(() => ask("PATCH", pathOf(room), { admission_rate: rate, max_active_users: capacity }));
    if (!done) return; // what was refused stays, to be mended
    setDraft(null);
    say(text("rooms.applied", { name: room.name }));
  }
  return html`<section aria-labelledby="dials">
    <h2 id="dials">${text("rooms.dials")}</h2>
    <form class="fields" onSubmit=${apply}>
      <${Dial} name="rate" value=${rate} reach=${Math.max(RATE_REACH_MIN, REACH * set.rate)} max=${100_000} step="0.5" onTry=${(value) => try_({ rate: value })} />
      <${Dial} name="capacity" value=${capacity} reach=${Math.max(CAPACITY_REACH_MIN, REACH * set.capacity)} max=${10_000_000} step="1" onTry=${(value) => try_({ capacity: value })} />
      <${Effect} room=${room} now=${now} set=${set} draft=${draft} />
      <p class="acts">
        <button type="submit" class="main" aria-disabled=${draft === null}>${text("rooms.apply")}</button>
        ${draft && html`<button type="button" class="quiet" onClick=${() => setDraft(null)}>${text("board.not_now")}</button>`}
      </p>
    </form>
  </section>`;
}

function Dial({ name, value, reach, max, step, onTry }) {
  const [typed, setTyped] = useState(null);
  const label = text(`rooms.${name}`);
  const take = (event) => event.target.value !== "" && onTry(Number(event.target.value));
  // What is being typed stays as it is: `0.` or an empty field put right would turn 0.3 into 30.
  const isTyped = typed !== null && (typed === "" || Number(typed) === value);
  function type(event) {
    setTyped(event.target.value);
    take(event);
  }
  return html`<div class="dial">
    <label>${label}
      <input type="range" min="0" max=${reach} step=${step} value=${value} onInput=${take} />
    </label>
    <input type="number" aria-label=${text("rooms.exactly", { what: label })} min="0" max=${max} step=${step === "1" ? "1" : "any"} required value=${isTyped ? typed : String(value)} onInput=${type} onBlur=${() => setTyped(null)} />
  </div>`;
}

function Effect({ room, now, set, draft }) {
  if (now?.current_waiting == null) return html`<p role="status">${text("overview.unseen")}</p>`;
  const reckon = (dials) =>
    waitSeconds({
      status: room.status,
      opensInS: room.opens_at ? Math.max(0, (Date.parse(room.opens_at) - Date.now()) / 1_000) : 0,
      waiting: now.current_waiting,
      inside: now.current_active,
      sessionS: room.session_timeout_seconds,
      ...dials,
    });
  const told = (seconds) => {
    if (seconds === null) return text("rooms.never");
    return seconds === 0 ? text("span.short") : text("span.about", { high: span(seconds) });
  };
  return html`<div class="asked">
    <p role="status">
      ${draft
        ? text("rooms.would", { now: told(reckon(set)), then: told(reckon(draft)) })
        : text("rooms.waits", { now: told(reckon(set)) })}
    </p>
    <p class="soft">${text("rooms.reckoned")}</p>
  </div>`;
}

function Sessions({ room, detail }) {
  const [ending, setEnding] = useState(null);
  const end = (id) =>
    act(() => ask("DELETE", `/api/v1/admin/sessions/${encodeURIComponent(id)}`, { reason: "ended_in_console" }));
  const sessions = detail?.sessions;
  return html`<section aria-labelledby="sessions">
    <h2 id="sessions">${text("rooms.sessions")}</h2>
    ${sessions &&
    html`<p>${sessions.total === 0 ? text("rooms.nobody") : text("overview.of", { n: number(sessions.sessions.length), all: number(sessions.total) })}</p>`}
    ${sessions &&
    sessions.total > 0 &&
    html`<${Table} label=${text("rooms.sessions_table")} heads=${[text("rooms.session"), text("rooms.since"), text("rooms.until"), `n:${text("rooms.views")}`, text("rooms.end")]}>
      ${sessions.sessions.map(
        (each) => html`<tr key=${each.session_id}>
          <td class="long"><code>${each.session_id}</code></td>
          <td class="when">${moment(each.started_at)}</td>
          <td class="when">${moment(each.expires_at)}</td>
          <td class="n">${number(each.page_views)}</td>
          <td><button type="button" class="copy" aria-label=${text("rooms.end_one", { id: each.session_id })} onClick=${() => setEnding(each.session_id)}>${text("rooms.end")}</button></td>
        </tr>`,
      )}
    <//>`}
    ${ending &&
    html`<${Asking} title=${text("rooms.end_title")} yes=${text("rooms.end")} onYes=${() => end(ending)} onClose=${() => setEnding(null)}>
      <p>${text("rooms.end_what", { name: room.name })}</p>
      <p><code>${ending}</code></p>
    <//>`}
  </section>`;
}

function Draw({ draw }) {
  if (!draw) return null;
  const facts = [
    ["draw_state", text(`rooms.${draw.status}`)],
    ["draw_opens", moment(draw.opens_at)],
    ["draw_count", number(draw.count)],
    ["draw_commitment", draw.commitment],
    ...(draw.secret ? [["draw_secret", draw.secret]] : []),
  ];
  return html`<section aria-labelledby="draw">
    <h2 id="draw">${text("rooms.draw")}</h2>
    <dl class="facts">
      ${facts.map(([name, value]) => html`<div key=${name}><dt>${text(`rooms.${name}`)}</dt><dd>${value}</dd></div>`)}
    </dl>
  </section>`;
}
