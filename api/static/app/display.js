// The display of a hall: who is called where, who follows, and what is said, one after the other.

import { signal } from "@preact/signals";
import { render } from "preact";

import { followHall } from "./hall_line.js";
import { html } from "./html.js";
import { isAway } from "./live.js";
import { oneAtATime } from "./looks.js";
import { announce } from "./page.js";
import { isSounding, say, startSound } from "./display_voice.js";
import { language, number, text } from "./texts.js";

const NEXT = 4;
const LAST = 6;
const GATHER_MS = 200; // many changes make one look

const root = document.getElementById("display");
const wanted = new Set(
  (new URLSearchParams(location.search).get("counters") ?? "").split(",").filter(Boolean).map(Number),
);
const hall = signal(JSON.parse(root.dataset.hall));
const said = signal(null); // what the hall tells everybody, until it goes
const calls = signal([]); // the newest first
let timer = null;
let gone = null;

const isOurs = (counterId) => wanted.size === 0 || wanted.has(counterId);

const line = followHall({
  onState(list) {
    hall.value = list;
  },
  onChange(name, data) {
    if (name === "queue-announcement") hear(data);
    timer ??= setTimeout(look, GATHER_MS);
  },
});

const look = oneAtATime(async () => {
  timer = null;
  try {
    hall.value = await line.state();
  } catch {
    // The library comes back by itself and is told the state then.
  }
});

function hear(data) {
  const words = language === "vi" ? data.message : (data.message_en ?? data.message);
  if (data.ticket) {
    if (!isOurs(data.ticket.counter_id)) return;
    const { number_text, counter_name, counter_id } = data.ticket;
    const [latest, ...before] = calls.value;
    const isAgain = latest?.number_text === number_text && latest.counter_name === counter_name;
    calls.value = [{ number_text, counter_name, counter_id }, ...(isAgain ? before : calls.value)].slice(0, LAST + 1);
  } else {
    clearTimeout(gone);
    said.value = { words, type: data.type };
    if (data.auto_dismiss) gone = setTimeout(() => (said.value = null), data.auto_dismiss * 1000);
  }
  announce(words);
  say(data);
}

function Counter({ of, isLatest }) {
  const current = of.current_serving;
  const next = of.waiting_queue.slice(0, NEXT).map((each) => each.number_text ?? each.number);
  return html`<li class=${isLatest ? "latest" : ""}>
    <span class="where">${of.counter_name}</span>
    <strong>${current ? current.number_text : text(`display.${of.status === "active" ? "free" : "closed"}`)}</strong>
    <span class="next">
      ${next.length
        ? text("display.next", { numbers: next.join(", ") })
        : text("display.nobody")}
    </span>
  </li>`;
}

/** Return at which counter the latest call is; by what was heard, since moments are whole seconds. */
function latestOf(counters) {
  const [heard] = calls.value;
  const at = counters.findIndex(
    (each) => each.counter_id === heard?.counter_id && each.current_serving?.number_text === heard.number_text,
  );
  if (at >= 0) return at;
  const called = counters.map((each) => each.current_serving?.called_at ?? "");
  const last = called.reduce((a, b) => (a > b ? a : b), "");
  return last ? called.indexOf(last) : -1;
}

function Display() {
  if (hall.value === null) return html`<h1>${text("display.looking")}</h1>`;
  const counters = hall.value.counters.filter((each) => isOurs(each.counter_id));
  const latest = latestOf(counters);
  const last = calls.value.slice(1);
  return html`
    <h1>${text("display.now")}</h1>
    ${said.value && html`<p class="said" role="alert" data-type=${said.value.type}>${said.value.words}</p>`}
    ${counters.length === 0 && html`<p>${text("display.none")}</p>`}
    <ul class="now">
      ${counters.map(
        (each, i) => html`<${Counter} key=${each.counter_id} of=${each} isLatest=${i === latest} />`,
      )}
    </ul>
    ${last.length > 0 &&
    html`<p class="last">${text("display.last", {
      calls: last.map((each) => `${each.number_text} (${each.counter_name})`).join(" · "),
    })}</p>`}
    <p class="last">${text("display.waiting", {
      n: number(counters.reduce((sum, each) => sum + each.total_waiting, 0)),
    })}</p>
    ${!isSounding.value &&
    html`<button type="button" class="sound" onClick=${startSound}>${text("display.sound")}</button>`}
  `;
}

root.replaceChildren();
render(html`<${Display} />`, root);
addEventListener("online", () => {
  isAway.value = false;
});
