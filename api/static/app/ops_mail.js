// `/ops/mail`: what waits on all mail hosts, chosen and acted on; filters stand in the address.

import { signal } from "@preact/signals";

import { ask, Refusal } from "./ask.js";
import { act, Asking, follow, lookAgain, lookSoon, moment, open, role, say, Table } from "./console_parts.js";
import { html } from "./html.js";
import { startKeys } from "./officer_keys.js";
import { carryOut, Progress } from "./ops_mail_act.js";
import { asking, ChooseAll, everything, showAll, Shown } from "./ops_mail_all.js";
import { Alarms, Groups, Hosts, Trend } from "./ops_mail_around.js";
import { hear } from "./ops_mail_dialogue.js";
import { happened, Letter } from "./ops_mail_one.js";
import { number, text } from "./texts.js";

const LOOK_EVERY_MS = 15_000;
const PER_PAGE = 50;
const FILTERS = ["sender", "recipient", "subject", "reason"];
const DOMAINS = ["sender_domain", "recipient_domain"]; // set by a group, and shown once they are
const STATES = ["queued", "deferred", "frozen"];
const SORTS = ["timestamp", "size", "sender", "recipient", "status"];
const CHOSEN = "stanchion_mail_chosen";
const mayAct = role === "admin" || role === "operator";

const asked = signal(new URLSearchParams(location.search));
const found = signal(null); // {messages, meta, totals}
const isRefused = signal(false); // an address that somebody wrote asks for what there is not
const around = signal({ hosts: [], groups: [], samples: [], alarms: [] });
const by = signal("reason");
// What is chosen stays so over a look, a page and a reload; the whole row, to know what an act changed.
const chosen = signal(new Map(JSON.parse(sessionStorage.getItem(CHOSEN) ?? "[]")));
const cursor = signal(0);
const opened = signal(null);
const ending = signal(null); // delete or bounce, asked back

const keyOf = ({ host, id }) => `${host} ${id}`;

async function lookNow() {
  const query = new URLSearchParams(asked.value);
  query.set("per_page", PER_PAGE);
  const [list, hosts, groups, trend, alarms] = await Promise.all([
    ask("GET", `/api/v1/queue?${query}`).catch((error) => {
      isRefused.value = error instanceof Refusal && error.status === 400;
      throw error;
    }),
    ask("GET", "/api/v1/queue/hosts"),
    ask("GET", `/api/v1/queue/groups?by=${by.value}&limit=10`),
    ask("GET", "/api/v1/queue/trend?minutes=60"),
    ask("GET", "/api/v1/queue/alarms"),
  ]);
  const wasInRow = isInRow();
  found.value = { ...list.data, meta: list.meta };
  cursor.value = Math.min(cursor.value, Math.max(list.data.messages.length - 1, 0));
  // A message that left takes the focus with it.
  if (wasInRow) requestAnimationFrame(() => document.activeElement === document.body && focusRow());
  around.value = { hosts: hosts.data.hosts, groups: groups.data.groups, samples: trend.data.samples, alarms: alarms.data.alarms };
}

/** Look for something else; the address says what, for who comes back or passes it on. */
function look(changes) {
  const query = new URLSearchParams(asked.value);
  for (const [name, value] of Object.entries({ page: "", ...changes })) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  asked.value = query;
  if (!("page" in changes)) everything.value = false;
  history.pushState(null, "", query.size ? `?${query}` : location.pathname);
  lookAgain();
}

function choose(rows, isChosen) {
  everything.value = false;
  const next = new Map(chosen.value);
  for (const row of rows) {
    if (isChosen) next.set(keyOf(row), { host: row.host, id: row.id, status: row.status });
    else next.delete(keyOf(row));
  }
  chosen.value = next;
  sessionStorage.setItem(CHOSEN, JSON.stringify([...next]));
}

/** Act on what is chosen, or on the row of the cursor; what is done is no longer chosen. */
async function perform(operation, rows = targets()) {
  if (!mayAct) return;
  if (everything.value) await showAll(operation, asked.value);
  else if (rows.length) await performOn(operation, rows);
}

async function performOn(operation, rows) {
  const done = await act(() => carryOut(operation, rows));
  if (!done) return;
  choose(rows, false);
  const undo = done.changed.length > 0 && { freeze: "thaw", thaw: "freeze" }[operation];
  say(text(`mail.done_${operation}`, { n: number(done.good), all: number(rows.length) }));
  undoable.value = undo ? { operation: undo, rows: done.changed } : null;
  failures.value = done.failed;
}

const undoable = signal(null); // {operation, rows}
const failures = signal([]);

function targets() {
  if (chosen.value.size) return [...chosen.value.values()];
  const row = found.value?.messages[cursor.value];
  return row ? [row] : [];
}

const keys = startKeys({
  j: () => move(1),
  k: () => move(-1),
  x: () => {
    const row = found.value?.messages[cursor.value];
    if (row && mayAct) choose([row], !chosen.value.has(keyOf(row)));
  },
  f: () => perform("freeze"),
  t: () => perform("thaw"),
  d: () => perform("deliver"),
  b: () => askBack("bounce"),
  delete: () => askBack("delete"),
});

/** Go to the next row or the one before; who comes from elsewhere first goes to where the cursor is. */
function move(by) {
  const last = (found.value?.messages.length ?? 1) - 1;
  const next = cursor.value + (isInRow() ? by : 0);
  cursor.value = Math.min(Math.max(next, 0), Math.max(last, 0));
  focusRow();
}

const isInRow = () => document.activeElement.closest("[data-row]") !== null;
const focusRow = () => document.querySelector(`[data-row="${cursor.value}"] .plain`)?.focus();

function askBack(operation) {
  if (role !== "admin") return;
  if (everything.value) perform(operation);
  else if (targets().length) ending.value = operation;
}

function Board() {
  if (!found.value && isRefused.value) return html`<p class="acts"><button class="copy" type="button" onClick=${clear}>${text("mail.clear")}</button></p>`;
  if (!found.value) return html`<p>${text("board.looking")}</p>`;
  const { total_messages: all, deferred_messages: deferred, frozen_messages: frozen, oldest_message_age: oldest } = found.value;
  const facts = [["all", number(all)], ["deferred", number(deferred)], ["frozen", number(frozen)], ["oldest", all ? oldest : "–"]];
  return html`
    <dl class="counts">${facts.map(([name, value]) => html`<div key=${name}><dt>${text(`mail.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>
    <${Alarms} alarms=${around.value.alarms} />
    <${Hosts} hosts=${around.value.hosts} />
    <${Trend} samples=${around.value.samples} />
    <section aria-labelledby="list">
      <h2 id="list">${text("mail.list")}</h2>
      <${Filters} />
      ${mayAct && html`<${Acts} />`}
      <${Progress} />
      <${Failures} />
      <${List} />
    </section>
    <${Groups} groups=${around.value.groups} by=${by.value} onBy=${(value) => ((by.value = value), lookAgain())} onChoose=${look} />
    <p class="keys"><label class="check">
      <input type="checkbox" checked=${keys.value} onChange=${(event) => (keys.value = event.target.checked)} /> ${text("mail.keys")}
    </label></p>
    ${opened.value && html`<${Letter} of=${opened.value} mayAct=${mayAct} isAdmin=${role === "admin"} onClose=${() => (opened.value = null)} />`}
    <${Shown} onFailed=${(failed) => (failures.value = failed)} />
    ${ending.value &&
    html`<${Asking}
      title=${asking(ending.value, targets().length)}
      yes=${text(`mail.${ending.value}`)}
      onYes=${() => perform(ending.value)}
      onClose=${() => (ending.value = null)}
    ><p>${text(`mail.${ending.value}_note`)}</p><//>`}
  `;
}

function Filters() {
  function search(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    look(Object.fromEntries([...FILTERS, ...DOMAINS, "status", "host", "sort_by"].map((name) => [name, (form.get(name) ?? "").trim()])));
  }
  const field = (name, label) => html`<label key=${name}>${label} <input name=${name} maxlength="320" autocomplete="off" value=${asked.value.get(name) ?? ""} /></label>`;
  const option = (value, said) => html`<option key=${value} value=${value} selected=${asked.value.get("status") === value}>${said}</option>`;
  return html`<form class="row" role="search" onSubmit=${search} key=${asked.value.toString()}>
    <label>${text("mail.status")}
      <select name="status"><option value="">${text("mail.any")}</option>${STATES.map((each) => option(each, text(`mail.${each}`)))}</select>
    </label>
    <label>${text("mail.host")}
      <select name="host">
        <option value="">${text("mail.any")}</option>
        ${around.value.hosts.map(({ name }) => html`<option key=${name} value=${name} selected=${asked.value.get("host") === name}>${name}</option>`)}
      </select>
    </label>
    ${FILTERS.map((name) => field(name, text(`mail.${name}`)))}
    ${DOMAINS.filter((name) => asked.value.get(name)).map((name) => field(name, text(`mail.group_${name}`)))}
    <label>${text("mail.sort")}
      <select name="sort_by">${SORTS.map((each) => html`<option key=${each} value=${each} selected=${asked.value.get("sort_by") === each}>${text(`mail.by_${each}`)}</option>`)}</select>
    </label>
    <button class="copy" type="submit">${text("find.search")}</button>
    ${asked.value.size > 0 && html`<button class="quiet" type="button" onClick=${clear}>${text("mail.clear")}</button>`}
  </form>`;
}

function clear() {
  look(Object.fromEntries([...asked.value.keys()].map((name) => [name, ""])));
}

function Acts() {
  const count = everything.value ? found.value.meta.total : chosen.value.size;
  if (count === 0 && found.value.messages.length === 0 && !undoable.value) return null;
  const button = (name, letter, onClick) => html`<button
    key=${name}
    type="button"
    class="copy"
    aria-disabled=${count === 0 ? "true" : null}
    aria-keyshortcuts=${letter}
    onClick=${() => count && onClick()}
  >${text(`mail.${name}`)}</button>`;
  return html`<p class="acts" role="group" aria-label=${text("mail.acts")}>
    <span role="status">${text(count ? "mail.chosen" : "mail.none_chosen", { n: number(count) })}</span>
    ${button("deliver", "D", () => perform("deliver"))}
    ${button("freeze", "F", () => perform("freeze"))}
    ${button("thaw", "T", () => perform("thaw"))}
    ${role === "admin" && button("bounce", "B", () => askBack("bounce"))}
    ${role === "admin" && button("delete", "Delete", () => askBack("delete"))}
    ${count > 0 && !everything.value && html`<button type="button" class="quiet" onClick=${() => choose([...chosen.value.values()], false)}>${text("mail.choose_none")}</button>`}
    ${undoable.value &&
    html`<button type="button" class="quiet" onClick=${() => perform(undoable.value.operation, undoable.value.rows)}>${text("mail.undo")}</button>`}
  </p>`;
}

function Failures() {
  if (failures.value.length === 0) return null;
  return html`<details class="asked" open>
    <summary>${text("mail.failed", { n: number(failures.value.length) })}</summary>
    <ul>${failures.value.slice(0, 20).map((each) => html`<li key=${each.message_id}><code>${each.message_id}</code> ${each.error || each.message}</li>`)}</ul>
  </details>`;
}

function List() {
  const { messages, meta } = found.value;
  if (messages.length === 0) return html`<p role="status">${text(asked.value.size ? "mail.none_found" : "mail.none")}</p>`;
  const areAll = messages.every((each) => chosen.value.has(keyOf(each)));
  const heads = [
    ...(mayAct ? [text("mail.choose")] : []),
    text("mail.message"), text("mail.from_to"), text("mail.status"), `n:${text("mail.age")}`, text("mail.reason"),
  ];
  return html`
    ${mayAct &&
    html`<label class="check"><input type="checkbox" checked=${areAll} onChange=${(event) => choose(messages, event.target.checked)} /> ${text("mail.choose_page")}</label>
    <${ChooseAll} total=${meta.total} here=${messages.length} />`}
    <${Table} label=${text("mail.list")} heads=${heads}>
      ${messages.map((each, index) => html`<${Row} key=${keyOf(each)} each=${each} index=${index} />`)}
    <//>
    <p class="acts">
      <span>${text("mail.page", { page: number(meta.page), pages: number(meta.total_pages), n: number(meta.total) })}</span>
      <a href=${`/api/v1/queue/export?${asked.value}`} download>${text("mail.table")}</a>
      ${meta.page > 1 && html`<button type="button" class="copy" onClick=${() => look({ page: String(meta.page - 1) })}>${text("mail.before")}</button>`}
      ${meta.page < meta.total_pages && html`<button type="button" class="copy" onClick=${() => look({ page: String(meta.page + 1) })}>${text("mail.after")}</button>`}
    </p>
  `;
}

function Row({ each, index }) {
  const isChosen = chosen.value.has(keyOf(each));
  return html`<tr data-row=${index} aria-selected=${mayAct ? String(isChosen) : null}>
    ${mayAct &&
    html`<td><input type="checkbox" checked=${isChosen} aria-label=${text("mail.choose_one", { id: each.id })} onChange=${(event) => choose([each], event.target.checked)} /></td>`}
    <td>
      <button type="button" class="plain" onClick=${() => (opened.value = each)} onFocus=${() => (cursor.value = index)}><code>${each.id}</code></button>
      <div class="long">${each.subject || text("mail.no_subject")}</div>
      <span class="soft">${each.host}</span>
    </td>
    <td class="long who">${each.sender}<br />${text("mail.to", { who: each.recipients.slice(0, 3).join(", ") })}${each.recipients.length > 3 ? text("mail.more", { n: number(each.recipients.length - 3) }) : ""}</td>
    <td>${text(`mail.${each.is_delivering ? "delivering" : each.status}`)}</td>
    <td class="n" title=${moment(each.timestamp)}>${each.age}</td>
    <td class="long">${each.last_error ?? "–"}</td>
  </tr>`;
}

if (open(Board, { lookNow, everyMs: LOOK_EVERY_MS })) {
  follow("/mail", ["queue_update", "system_alert", "logged", "dialogue"], (name, data) => {
    if (name === "dialogue") {
      hear(data);
      return;
    }
    happened.value += 1;
    lookSoon();
  });
  addEventListener("popstate", () => {
    asked.value = new URLSearchParams(location.search);
    lookAgain();
  });
}
