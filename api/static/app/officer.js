// The officer's page: one counter, one hand.

import { signal } from "@preact/signals";
import { effect } from "@preact/signals-core";
import { render } from "preact";

import { Desk } from "./desk.js";
import { html } from "./html.js";
import { isAway } from "./live.js";
import { BreakDialog, TransferDialog } from "./officer_dialogs.js";
import { startKeys } from "./officer_keys.js";
import { Line, Stage } from "./officer_parts.js";
import { announce } from "./page.js";
import { text } from "./texts.js";

const CHOSEN = "stanchion_counter";
const root = document.getElementById("officer");
const place = JSON.parse(root.dataset.place);
const desk = new Desk();
const picked = signal(null); // the counter that is chosen in the list, and not taken yet
const dialog = signal(null); // "break", "transfer" or none
const keys = startKeys({
  n: () => mayCall() && desk.next(),
  s: () => there("called") && desk.serve(),
  r: () => there("called") && desk.recall(),
  a: () => there("called") && desk.absent(),
  d: () => there("serving") && desk.done(),
  m: () => there("serving") && desk.incomplete(),
  p: () => there("called", "serving") && desk.park(),
  t: () => there("called", "serving") && open("transfer"),
  b: () => (desk.counter.value?.status === "paused" ? desk.resume() : open("break")),
});

function there(...statuses) {
  return statuses.includes(desk.ticket.value?.status) && !dialog.value;
}

function mayCall() {
  return desk.counter.value?.status === "active" && !there("called") && !dialog.value;
}

function open(which) {
  dialog.value = which;
}

function choose(id) {
  const found = place.counters.find((each) => each.id === Number(id));
  if (!found) return;
  localStorage.setItem(CHOSEN, found.id);
  desk.open(found);
}

function Officer() {
  const counter = desk.counter.value;
  if (!counter) {
    return html`
      <h1>${text(place.counters.length ? "officer.choose" : "officer.none")}</h1>
      ${place.is_bound ? html`<p>${text("officer.unbound")}</p>` : html`<${Choice} />`}
    `;
  }
  return html`
    <header class="desk">
      <h1>${counter.name}</h1>
      <p class="state" data-state=${counter.status}>${text(`counter.${counter.status}`)}</p>
      ${!place.is_bound && html`<${Choice} />`}
    </header>
    <div class="told" role="alert"><${Notice} /></div>
    <div class="sides">
      <${Stage} desk=${desk} onOpen=${open} />
      <${Line} desk=${desk} />
    </div>
    <p class="keys">
      <label>
        <input type="checkbox" checked=${keys.value} onChange=${(event) => (keys.value = event.target.checked)} />
        ${text("officer.keys")}
      </label>
    </p>
    ${dialog.value === "break" && html`<${BreakDialog} desk=${desk} onClose=${() => open(null)} />`}
    ${dialog.value === "transfer" &&
    html`<${TransferDialog} desk=${desk} onClose=${() => open(null)} />`}
  `;
}

/** Work at the counter that was picked: an arrow key on the list alone takes none. */
function take(event) {
  event.preventDefault();
  if (picked.value) choose(picked.value);
  picked.value = null;
  requestAnimationFrame(() => root.querySelector(".choice button")?.focus());
}

function Choice() {
  const counter = desk.counter.value;
  return html`
    <form class="choice" onSubmit=${take}>
      <label>
        <span>${text("officer.counter")}</span>
        <select value=${picked.value ?? counter?.id ?? ""} onChange=${(event) => (picked.value = event.target.value)}>
          ${!counter && html`<option value=""></option>`}
          ${place.counters.map((each) => html`<option key=${each.id} value=${each.id}>${each.name}</option>`)}
        </select>
      </label>
      <button class="copy" type="submit">${text("officer.take")}</button>
    </form>
  `;
}

function Notice() {
  const notice = desk.notice.value;
  if (!notice) return null;
  return html`
    <p class=${`notice ${notice.kind}`}>
      ${notice.sentence} ${notice.link && html`<a href=${notice.link}>${text("officer.log_in")}</a>`}
    </p>
  `;
}

if (!root.hidden) {
  root.replaceChildren();
  render(html`<${Officer} />`, root);
  choose(place.is_bound ? place.counter_id : (localStorage.getItem(CHOSEN) ?? place.counter_id));
}

effect(() => {
  root.dataset.live = String(!isAway.value);
});
let saidOf = null;
effect(() => {
  const ticket = desk.ticket.value;
  const key = ticket && `${ticket.id} ${ticket.status} ${ticket.call_count}`;
  if (key && key !== saidOf) {
    announce(text(`officer.said_${ticket.status}`, { number: ticket.number_text }));
  }
  saidOf = key;
});
addEventListener("online", () => desk.counter.value && desk.look());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && desk.counter.value) desk.look();
});
