// `/ops/messages`: one queue with its types, live; what is in it, and what died.

import { computed, signal } from "@preact/signals";

import { ask } from "./ask.js";
import { act, follow, lookSoon, open, role, Table } from "./console_parts.js";
import { html } from "./html.js";
import { Redrive } from "./ops_messages_dead.js";
import { Finder } from "./ops_messages_find.js";
import { EVENTS, Tail } from "./ops_messages_tail.js";
import { span } from "./spans.js";
import { number, text } from "./texts.js";

const LOOK_EVERY_MS = 10_000;
const RATE_MIN = 10; // a rate is the mean of so many minutes
const MINUTE_MS = 60_000;
const AGED_MAX = 12; // types whose oldest message is looked up, those with the longest lines

const mayAct = ["admin", "operator"].includes(role);
const queueName = signal("default");
const seen = signal(null); // {queues, status, work, oldest}
const queue = computed(() => seen.value?.queues.find((each) => each.name === queueName.value));

/** Return how long ago a moment was; never less than nothing, whatever the clock of the reader. */
const age = (iso) => (iso ? span(Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1_000))) : "–");

let asked = new URLSearchParams(location.search).get("queue"); // an address may name a queue, which is shown first
let leadsToDead = location.hash === "#dead"; // until the queue that has most of them is chosen

async function lookNow() {
  if (leadsToDead || asked) {
    const { queues } = await ask("GET", "/api/queue/queues");
    if (queues.some(({ name }) => name === asked)) queueName.value = asked;
    if (leadsToDead) queueName.value = withMostDead(queues);
    [leadsToDead, asked] = [false, null];
  }
  const wanted = queueName.value;
  const since = new Date(Date.now() - RATE_MIN * MINUTE_MS).toISOString();
  const [{ queues }, status, { consumers }] = await Promise.all([
    ask("GET", "/api/queue/queues"),
    ask("GET", `/api/queue/status?queue=${encodeURIComponent(wanted)}`),
    ask("GET", `/api/queue/consumers?limit=500&since=${encodeURIComponent(since)}`),
  ]);
  const longest = Object.entries(status.by_type)
    .filter(([, counts]) => counts.queued)
    .sort(([, one], [, other]) => other.queued - one.queued)
    .slice(0, AGED_MAX);
  const oldest = new Map(
    await Promise.all(
      longest.map(async ([type]) => {
        const filter = new URLSearchParams({ queue: wanted, type, order: "asc", limit: "1" });
        const { messages } = await ask("GET", `/api/queue/main/messages?${filter}`);
        return [type, messages[0]?.created_at];
      }),
    ),
  );
  if (wanted === queueName.value) seen.value = { queues, status, work: workOf(wanted, consumers), oldest };
}

/** Return the name of the queue in which most are dead; where none is, of the one that is shown. */
function withMostDead(queues) {
  const worst = queues.reduce((one, other) => (other.counts.dead > one.counts.dead ? other : one));
  return worst.counts.dead ? worst.name : queueName.value;
}

/** Return what all consumers together did, by type. */
function workOf(wanted, consumers) {
  const work = new Map();
  for (const each of consumers.flatMap((consumer) => consumer.by_type)) {
    if (each.queue !== wanted) continue;
    const sum = work.get(each.type ?? "") ?? { done: 0, failed: 0 };
    sum.done += each.acknowledged;
    sum.failed += each.given_back + each.lapsed;
    work.set(each.type ?? "", sum);
  }
  return work;
}

const change = (changes) =>
  act(() => ask("PATCH", `/api/queue/queues/${encodeURIComponent(queueName.value)}`, changes));

function pause(type, isPaused) {
  const others = queue.value.paused_types.filter((each) => each !== type);
  return change({ paused_types: isPaused ? [...others, type] : others });
}

function Board() {
  if (!seen.value || !queue.value) return html`<p>${text("board.looking")}</p>`;
  const { queues } = seen.value;
  return html`
    <${Now} />
    <section aria-labelledby="types">
      <div class="row">
        <h2 id="types">${text("messages.types")}</h2>
        ${queues.length > 1 &&
        html`<label>${text("messages.queue")}
          <select value=${queueName.value} onChange=${(event) => choose(event.target.value)}>
            ${queues.map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}
          </select>
        </label>`}
        ${mayAct &&
        html`<button type="button" class="copy" onClick=${() => change({ paused: !queue.value.paused })}>
          ${text(queue.value.paused ? "messages.resume_queue" : "messages.pause_queue")}
        </button>`}
      </div>
      ${queue.value.paused && html`<p class="notice refusal">${text("messages.queue_paused")}</p>`}
      <${Types} />
      <p class="soft">${text("messages.rates", { n: RATE_MIN })}</p>
    </section>
    <${Finder} queue=${queueName.value} key=${`find ${queueName.value}`} />
    <${Redrive} queue=${queueName.value} key=${`dead ${queueName.value}`} count=${queue.value.counts.dead} />
    <${Tail} />
  `;
}

function choose(name) {
  queueName.value = name;
  lookSoon();
}

function Now() {
  const { counts, oldest_queued: oldest } = seen.value.status;
  const facts = [
    ["waiting", number(counts.queued + (counts.delayed ?? 0))],
    ["processing", number(counts.processing)],
    ["oldest", age(oldest)],
    ["dead", number(counts.dead), counts.dead > 0],
  ];
  return html`<dl class="counts">
    ${facts.map(
      ([name, value, isBad]) => html`<div key=${name} class=${isBad ? "alarm" : null}>
        <dt>${text(`fact.${name}`)}</dt><dd>${value}</dd>
      </div>`,
    )}
  </dl>`;
}

function Types() {
  const { status, work, oldest } = seen.value;
  const names = [...new Set([...Object.keys(status.by_type), ...queue.value.paused_types, ...work.keys()])].sort();
  if (names.length === 0) return html`<p>${text("messages.none")}</p>`;
  const heads = [
    text("messages.type"),
    `n:${text("fact.waiting")}`,
    `n:${text("fact.processing")}`,
    `n:${text("fact.oldest")}`,
    `n:${text("messages.done")}`,
    `n:${text("messages.failed")}`,
    text("messages.state"),
  ];
  return html`<${Table} label=${text("messages.types")} heads=${heads}>
    ${names.map((name) => {
      const counts = status.by_type[name] ?? { queued: 0, processing: 0 };
      const rate = (sum) => number(Math.round((10 * (sum ?? 0)) / RATE_MIN) / 10);
      const isPaused = queue.value.paused_types.includes(name);
      const shown = name || text("messages.no_type");
      return html`<tr key=${name}>
        <th scope="row">${shown}</th>
        <td class="n">${number(counts.queued)}</td>
        <td class="n">${number(counts.processing)}</td>
        <td class="n">${age(oldest.get(name))}</td>
        <td class="n">${rate(work.get(name)?.done)}</td>
        <td class="n">${rate(work.get(name)?.failed)}</td>
        <td>
          <span class="state">${text(isPaused ? "messages.paused" : "messages.goes")}</span>
          ${mayAct &&
          name &&
          html`<button type="button" class="copy" aria-label=${text(isPaused ? "messages.resume_type" : "messages.pause_type", { type: name })} onClick=${() => pause(name, !isPaused)}>
            ${text(isPaused ? "messages.resume" : "messages.pause")}
          </button>`}
        </td>
      </tr>`;
    })}
  <//>`;
}

if (open(Board, { lookNow, everyMs: LOOK_EVERY_MS })) {
  follow("/messages", EVENTS, (name, data) => {
    Tail.add(name, data);
    lookSoon();
  });
}
