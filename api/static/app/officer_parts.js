// The two sides of the officer's page: who is at the counter, and who waits.

import { signal } from "@preact/signals";

import { html } from "./html.js";
import { isAway } from "./live.js";
import { countdown } from "./spans.js";
import { locale, number, text } from "./texts.js";

const nowMs = signal(Date.now());
setInterval(() => {
  if (!document.hidden) nowMs.value = Date.now();
}, 1_000);

const CALLS_BEFORE_ABSENT = 3;

/** A button with the key that does the same. */
function Act({ desk, name, letter, onDo, isMain, isOff }) {
  const isWaiting = desk.isBusy.value || isOff;
  return html`
    <button
      type="button"
      class=${isMain ? "main" : "copy"}
      aria-disabled=${isWaiting ? "true" : null}
      aria-keyshortcuts=${letter}
      onClick=${() => !isWaiting && onDo()}
    >
      <span>${text(name)}</span><kbd aria-hidden="true">${letter}</kbd>
    </button>
  `;
}

/** Who is at the counter, and what can be done about it. */
export function Stage({ desk, onOpen }) {
  const [counter, ticket] = [desk.counter.value, desk.ticket.value];
  return html`
    <section class="stage" aria-labelledby="there">
      <h2 id="there" class="unseen">${text("officer.there")}</h2>
      ${ticket ? html`<${Person} desk=${desk} ticket=${ticket} />` : html`<${Nobody} desk=${desk} />`}
      <div class="doing">
        <${Acts} desk=${desk} counter=${counter} ticket=${ticket} onOpen=${onOpen} />
      </div>
      ${ticket && html`<${Notes} desk=${desk} ticket=${ticket} />`}
    </section>
  `;
}

function Nobody({ desk }) {
  const counter = desk.counter.value;
  if (counter.status === "paused") {
    const until = counter.paused_until && new Date(counter.paused_until);
    return html`
      <p class="number none">${text("officer.paused")}</p>
      <p class="who">
        ${counter.pause_reason} ${until && text("officer.until", { time: clock(until) })}
      </p>
    `;
  }
  const key = counter.status === "offline" ? "officer.closed" : "officer.free";
  return html`<p class="number none">${text(key)}</p>
    <p class="who">${text(counter.total_waiting ? "officer.some_wait" : "officer.nobody_waits", { n: number(counter.total_waiting) })}</p>`;
}

function Person({ ticket }) {
  const since = ticket.status === "serving" ? ticket.served_at : ticket.called_at;
  const seconds = Math.max(0, Math.floor((nowMs.value - Date.parse(since)) / 1_000));
  return html`
    <p class="number" data-status=${ticket.status}>${ticket.number_text}</p>
    <p class="who">
      <strong>${text(`officer.is_${ticket.status}`)}</strong>
      <span class="clock">${countdown(seconds)}</span>
      ${ticket.status === "called" && html`<span>${text("officer.calls", { n: ticket.call_count })}</span>`}
      ${ticket.priority !== "normal" && html`<span class="mark">${text(`priority.${ticket.priority}`)}</span>`}
    </p>
    ${ticket.procedure_name && html`<p class="procedure">${ticket.procedure_name}</p>`}
  `;
}

function Acts({ desk, counter, ticket, onOpen }) {
  const status = ticket?.status;
  const act = (name, letter, onDo, more = {}) =>
    html`<${Act} key=${name} desk=${desk} name=${name} letter=${letter} onDo=${onDo} ...${more} />`;
  if (counter.status === "paused" && !ticket) {
    return act("officer.resume", "B", desk.resume, { isMain: true });
  }
  const rest =
    counter.status === "paused"
      ? act("officer.resume", "B", desk.resume)
      : act("officer.break", "B", () => onOpen("break"), { isOff: counter.status === "offline" });
  const next = (isMain) =>
    act("officer.next", "N", () => desk.next(), { isMain, isOff: counter.status !== "active" });
  if (status === "called") {
    return [
      act("officer.serve", "S", desk.serve, { isMain: true }),
      act("officer.recall", "R", desk.recall),
      act("officer.absent", "A", desk.absent, { isOff: ticket.call_count < CALLS_BEFORE_ABSENT }),
      act("officer.park", "P", desk.park),
      act("officer.transfer", "T", () => onOpen("transfer")),
      rest,
    ];
  }
  if (status === "serving") {
    return [
      next(true),
      act("officer.done", "D", desk.done),
      act("officer.incomplete", "M", desk.incomplete),
      act("officer.park", "P", desk.park),
      act("officer.transfer", "T", () => onOpen("transfer")),
      rest,
    ];
  }
  return [next(true), rest];
}

function Notes({ desk, ticket }) {
  return html`
    <div class="notes">
      <label for="notes">${text("officer.notes")}</label>
      ${ticket.notes && html`<p class="noted">${ticket.notes}</p>`}
      <textarea
        id="notes"
        rows="2"
        maxlength="2000"
        value=${desk.notes.value}
        onInput=${(event) => desk.draft(event.target.value)}
      ></textarea>
      <p class="hint">${text("officer.notes_hint")}</p>
    </div>
  `;
}

/** Who waits, in the order of calls, and who is set aside. */
export function Line({ desk }) {
  const [line, parked] = [desk.line.value, desk.counter.value.parked];
  return html`
    <div class="side">
      <section aria-labelledby="waiting">
        <h2 id="waiting">
          ${text("officer.waiting")} <span class="many">${number(desk.counter.value.total_waiting)}</span>
        </h2>
        ${isAway.value && html`<p class="stale">${text("officer.stale", { time: clock(new Date(desk.seenAtMs || Date.now())) })}</p>`}
        ${line.length === 0 && html`<p class="empty">${text("officer.nobody_waits")}</p>`}
        <ol class="line">
          ${line.map((each) => html`<${Waiting} key=${each.ticket_id} each=${each} />`)}
        </ol>
      </section>
      ${parked.length > 0 &&
      html`
        <section aria-labelledby="parked">
          <h2 id="parked">${text("officer.parked")} <span class="many">${number(parked.length)}</span></h2>
          <ul class="line">
            ${parked.map(
              (each) => html`
                <li key=${each.ticket_id}>
                  <span class="no">${each.number_text}</span>
                  <span class="what">${each.procedure_name}</span>
                  <button
                    type="button"
                    class="quiet"
                    aria-label=${text("officer.return_number", { number: each.number_text })}
                    onClick=${() => desk.giveBack(each.ticket_id)}
                  >
                    ${text("officer.return")}
                  </button>
                </li>
              `,
            )}
          </ul>
        </section>
      `}
    </div>
  `;
}

function Waiting({ each }) {
  return html`
    <li>
      <span class="no">${each.number_text}</span>
      <span class="what">
        ${each.priority !== "normal" && html`<span class="mark">${text(`priority.${each.priority}`)}</span>`}
        ${each.procedure_name}
      </span>
      <span class="wait">
        <span>${text("officer.expected", { n: number(each.wait_time) })}</span>
        <span class="since">${text("officer.waited", { n: number(each.waited_minutes) })}</span>
      </span>
    </li>
  `;
}

export function clock(date) {
  return date.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
}
