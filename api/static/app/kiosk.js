// The kiosk: what somebody came for, then the number, large, with a paper and a code for the phone.

import { signal } from "@preact/signals";
import { render } from "preact";

import { ask, Refusal } from "./ask.js";
import { html } from "./html.js";
import { checkKey, KeyState, shown as shownKey } from "./kiosk_key.js";
import { isAway } from "./live.js";
import { announce } from "./page.js";
import { locale, number, text } from "./texts.js";

const IDLE_S = 25; // of a ticket on the screen, before the next person may come; `?idle=` sets it
const IDLE_MS = 1000 * (Number(new URLSearchParams(location.search).get("idle")) || IDLE_S);
const FORGET_MS = 60_000; // of a choice that was begun
const PATIENCE_MS = 8_000;
const LOOK_EVERY_MS = 30_000;
const LOOK_AWAY_MS = 3_000; // while the server does not answer: people stand there
const SEARCH_FROM = 9; // choices; fewer are seen at once
const PRIORITIES = ["normal", "priority", "elderly"];

const root = document.getElementById("kiosk");
const choices = signal(JSON.parse(root.dataset.choices));
const ticket = signal(null);
const refusal = signal(null);
const priority = signal("normal");
const search = signal("");
const isSending = signal(false);
const paper = signal("asked"); // asked, failed
let idle = null;
let next = null;
let isOfAway = false; // what is refused says that the server is away, and goes when it is back

/** Go back to the beginning when nobody is there any more. */
function wait(ms) {
  clearTimeout(idle);
  idle = setTimeout(reset, ms);
}

function reset() {
  clearTimeout(idle);
  ticket.value = refusal.value = null;
  isOfAway = false;
  priority.value = "normal";
  search.value = "";
  paper.value = "asked";
}

async function look() {
  clearTimeout(next);
  try {
    const [procedures, counters] = await Promise.all([
      ask("GET", "/app/procedures/"),
      ask("GET", "/app/counters/"),
      checkKey(),
    ]);
    choices.value = { procedures: procedures.procedures, counters: counters.counters };
    isAway.value = false;
    if (isOfAway) refusal.value = null;
    isOfAway = false;
  } catch {
    isAway.value = true;
  }
  next = setTimeout(look, isAway.value ? LOOK_AWAY_MS : LOOK_EVERY_MS);
}

async function take(wanted) {
  if (isSending.value) return;
  isSending.value = true;
  refusal.value = null;
  try {
    ticket.value = await ask(
      "POST",
      "/app/tickets/",
      { ...wanted, priority: priority.value },
      PATIENCE_MS,
      shownKey,
    );
    isAway.value = false;
    announce(text("kiosk.said", { number: ticket.value.number_text, counter: ticket.value.counter_name }));
    wait(IDLE_MS);
  } catch (error) {
    refusal.value = sentenceOf(error);
    isOfAway = !(error instanceof Refusal);
    if (isOfAway) {
      isAway.value = true;
      clearTimeout(next);
      next = setTimeout(look, LOOK_AWAY_MS);
    }
    wait(FORGET_MS);
  }
  isSending.value = false;
}

function sentenceOf(error) {
  if (!(error instanceof Refusal)) return text("kiosk.away");
  if (error.code === "branch_closed") {
    const opens = error.details.opens_at;
    const time = opens && new Date(opens).toLocaleString(locale, { dateStyle: "short", timeStyle: "short" });
    return opens ? text("kiosk.opens", { time }) : text("kiosk.closed");
  }
  if (error.code === "counter_not_active") return text("kiosk.no_counter");
  if (error.status === 429) return text("kiosk.limited");
  return text("kiosk.failed");
}

/** Note what became of the paper; the hall hears of one that failed. */
async function notePaper(state) {
  wait(IDLE_MS);
  try {
    await ask("PUT", `/app/tickets/${encodeURIComponent(ticket.value.public_id)}/print`, { state });
  } catch {
    // The number counts, with or without a paper.
  }
  if (state === "printed") reset();
}

async function printAgain() {
  paper.value = "failed";
  await notePaper("failed");
  print();
}

const plain = (words) => words.normalize("NFD").replace(/\p{Diacritic}/gu, "").replace(/đ/gi, "d").toLowerCase();

function Choices() {
  const { procedures, counters } = choices.value;
  const all = procedures.length
    ? procedures.map(({ id, name }) => ({ name, wanted: { procedure_id: id } }))
    : counters.map(({ id, name }) => ({ name, wanted: { counter_id: id } }));
  if (all.length === 0) return html`<h1>${text("kiosk.welcome")}</h1><p>${text("kiosk.nothing")}</p>`;
  const shown = all.filter(({ name }) => plain(name).includes(plain(search.value)));
  return html`
    <h1>${text("kiosk.what")}</h1>
    ${refusal.value && html`<p class="refusal" role="alert">${refusal.value}</p>`}
    <fieldset class="for">
      <legend>${text("kiosk.for")}</legend>
      ${PRIORITIES.map(
        (each) => html`<label key=${each}>
          <input type="radio" name="priority" value=${each} checked=${priority.value === each}
            onChange=${() => ((priority.value = each), wait(FORGET_MS))} />
          <span>${text(`kiosk.${each}`)}</span>
        </label>`,
      )}
    </fieldset>
    ${all.length >= SEARCH_FROM &&
    html`<label class="find">${text("kiosk.search")}
      <input type="search" value=${search.value}
        onInput=${(event) => ((search.value = event.currentTarget.value), wait(FORGET_MS))} />
    </label>`}
    <ul class="choices">
      ${shown.map(
        ({ name, wanted }) => html`<li key=${name}>
          <button type="button" aria-disabled=${isSending.value} onClick=${() => take(wanted)}>${name}</button>
        </li>`,
      )}
    </ul>
    ${shown.length === 0 && html`<p role="status">${text("kiosk.none_found")}</p>`}
    <${KeyState} />
  `;
}

function Paper() {
  const { number_text, counter_name, public_id, procedure_name, ahead } = ticket.value;
  const { estimated_wait_low: low, estimated_wait_high: high } = ticket.value;
  return html`
    <h1>${text("kiosk.yours")}</h1>
    <div class="paper">
      <strong>${number_text}</strong>
      <span class="where">${counter_name}</span>
      ${procedure_name && html`<span>${procedure_name}</span>`}
      <span>${ahead ? text("kiosk.ahead", { n: number(ahead) }) : text("kiosk.next")}</span>
      ${high > 0 && html`<span>${text("kiosk.range", { low: number(low), high: number(high) })}</span>`}
      <img src=${`/ticket/${encodeURIComponent(public_id)}/code.svg`} alt=${text("kiosk.code")} width="192" height="192" />
      <span class="hint">${text("kiosk.scan")}</span>
    </div>
    <p class="after">
      <button type="button" class="first" onClick=${() => print()}>${text("kiosk.print")}</button>
      <button type="button" onClick=${printAgain}>${text("kiosk.no_paper")}</button>
      <button type="button" onClick=${() => notePaper("printed")}>${text("kiosk.done")}</button>
    </p>
    ${paper.value === "failed" && html`<p role="status">${text("kiosk.reported")}</p>`}
  `;
}

function Kiosk() {
  if (ticket.value) return html`<${Paper} />`;
  if (choices.value === null) return html`<h1>${text("kiosk.looking")}</h1>`;
  return html`<${Choices} />`;
}

root.replaceChildren();
render(html`<${Kiosk} />`, root);
next = setTimeout(look, choices.value === null ? 0 : LOOK_EVERY_MS);
checkKey().catch(() => {}); // with the next look, then
addEventListener("online", look);
addEventListener("offline", () => {
  isAway.value = true;
});
