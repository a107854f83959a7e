// The page of who holds a paper: where the ticket is, and a call that is not missed.

import { effect, signal } from "@preact/signals-core";
import { render } from "preact";

import { startClock } from "./clock.js";
import { followCounter } from "./hall_line.js";
import { html } from "./html.js";
import { isAway } from "./live.js";
import { oneAtATime } from "./looks.js";
import { announce, bind } from "./page.js";
import { number, text } from "./texts.js";
import { Feedback } from "./ticket_feedback.js";
import { isTelling, ring, Tell } from "./ticket_tell.js";

const LOOK_EVERY_S = 20;
const PATIENCE_MS = 8_000;
const GATHER_MS = 300; // many phones hear of one call: they do not all ask in the same moment
const THIRD_AHEAD = 2;
const OVER = new Set(["completed", "absent", "cancelled", "missing"]);

const section = document.getElementById("ticket");
const id = section.dataset.id;
const view = signal(JSON.parse(section.dataset.view));
const [headline, note, ahead, time, counter] = Array.from({ length: 5 }, () => signal(null));
let follower = null;
let followed = null;
let timer = null;
let sinceS = 0;

// Looking ---------------------------------------------------------------------------------------

const look = oneAtATime(async () => {
  clearTimeout(timer);
  timer = null;
  if (!id) return;
  sinceS = 0;
  try {
    const answer = await fetch(`/app/tickets/${encodeURIComponent(id)}`, {
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.ok) view.value = await answer.json();
    isAway.value = answer.status >= 500;
  } catch {
    isAway.value = true;
  }
});

function lookSoon() {
  timer ??= setTimeout(look, Math.random() * GATHER_MS);
}

/** Hear of the counter at which the ticket is, until it is over. */
function follow(shown) {
  const wanted = OVER.has(stateOf(shown)) ? null : shown.counter_id;
  if (wanted === followed) return;
  follower?.close();
  followed = wanted;
  follower = wanted && followCounter(wanted, { onState: lookSoon, onChange: lookSoon });
}

// Showing ---------------------------------------------------------------------------------------

/** Return in one word what the page tells; the server says the same. */
function stateOf(shown) {
  if (shown.status === "waiting") return shown.parked ? "parked" : shown.ahead ? "waiting" : "next";
  return shown.completion_reason === "customer_absent" ? "absent" : shown.status;
}

function minutes({ estimated_wait_time: middle, estimated_wait_low: low, estimated_wait_high: high }) {
  if (low === undefined || low === null || low === high) {
    return middle ? text("holder.minutes", { n: number(middle) }) : text("holder.soon");
  }
  return text("holder.range", { low: number(low), high: number(high) });
}

let before = view.value;
effect(() => {
  const shown = view.value;
  if (!shown) return;
  const state = stateOf(shown);
  const known = { n: number(shown.ahead ?? 0), counter: shown.counter_name };
  section.dataset.state = state;
  headline.value = text(`holder.${state}`, known);
  note.value = text(`holder.${state}_note`, known);
  ahead.value = known.n;
  time.value = minutes(shown);
  counter.value = shown.counter_name;
  document.getElementById("facts").hidden = shown.ahead === null;
  document.title = `${shown.number_text} · ${headline.value}`;
  follow(shown);
  if (before !== shown) tellOf(before, shown, state);
  before = shown;
});

/** Say aloud what matters: a call always, being third to who asked for it. */
function tellOf(old, shown, state) {
  if (state !== stateOf(old)) announce(headline.value);
  if (state === "called" && shown.call_count > old.call_count) {
    ring(headline.value, { isCall: true });
  } else if (isTelling.value && shown.ahead !== null && shown.ahead <= THIRD_AHEAD) {
    if (old.ahead === null || old.ahead > THIRD_AHEAD) ring(text("holder.third", { n: shown.ahead + 1 }));
  }
}

function Beyond() {
  const shown = view.value;
  if (!shown) return null;
  const state = stateOf(shown);
  if (state === "completed" && shown.rating !== undefined) {
    return html`<${Feedback} id=${id} rating=${shown.rating} onRated=${look} />`;
  }
  return OVER.has(state) || state === "serving" || state === "called" ? null : html`<${Tell} id=${id} />`;
}

bind(section, { headline, note, ahead, time, counter });
const beyond = document.getElementById("beyond");
effect(() => {
  view.value; // what is shown there follows the ticket
  render(html`<${Beyond} />`, beyond);
});
startClock({
  onTick() {
    sinceS += 1;
    if (sinceS >= LOOK_EVERY_S && view.value && !OVER.has(stateOf(view.value))) look();
  },
  onWake: look,
});
addEventListener("focus", look);
