// Acting on many messages: one request for each host and so many of them, followed to its end.

import { signal } from "@preact/signals";

import { ask, Refusal } from "./ask.js";
import { html } from "./html.js";
import { number, text } from "./texts.js";

const LOOK_MS = 1_000;
// A host may take its time, and the server answers before that with what it knows: 60 s at most.
export const PATIENCE_MS = 65_000;
const idsMax = Number(document.getElementById("page").dataset.idsMax);

const progress = signal(null); // {done, all, operationId}

/**
 * Do something to messages of any hosts; returns what came of it.
 *
 * @param {string} operation deliver, freeze, thaw, delete or bounce
 * @param {{host: string, id: string, status: string}[]} rows
 * @returns {Promise<{good: number, failed: object[], changed: object[]}>}
 */
export async function carryOut(operation, rows) {
  const results = [];
  progress.value = { done: 0, all: rows.length, operationId: null };
  try {
    for (const [host, ids] of parcels(rows)) {
      results.push(...(await send(operation, host, ids)).map((each) => ({ ...each, host })));
      progress.value = { ...progress.value, done: results.length, operationId: null };
    }
  } finally {
    progress.value = null;
  }
  const good = results.filter((each) => each.success);
  // What was so before was not changed, and is not changed back.
  const before = new Map(rows.map((row) => [`${row.host} ${row.id}`, row]));
  const changed = good
    .map((each) => before.get(`${each.host} ${each.message_id}`))
    .filter((row) => row && (row.status === "frozen") === (operation !== "freeze"))
    .map((row) => ({ ...row, status: operation === "freeze" ? "frozen" : "deferred" }));
  return { good: good.length, failed: results.filter((each) => !each.success), changed };
}

/** Do what was shown and confirmed to all that a filter finds; returns the operation, once it is over. */
export async function carryOutAll(operation, criteria, confirm) {
  const { data } = await ask("POST", "/api/v1/queue/matching", { operation, criteria, confirm }, PATIENCE_MS);
  progress.value = { done: 0, all: data.total_messages, operationId: data.id };
  try {
    return await followed(data.id, 0);
  } finally {
    progress.value = null;
  }
}

function parcels(rows) {
  const hosts = Map.groupBy ? Map.groupBy(rows, (row) => row.host) : grouped(rows);
  return [...hosts].flatMap(([host, those]) =>
    Array.from({ length: Math.ceil(those.length / idsMax) }, (_, i) => [host, those.slice(i * idsMax, (i + 1) * idsMax).map((row) => row.id)]),
  );
}

function grouped(rows) {
  const hosts = new Map();
  for (const row of rows) hosts.set(row.host, [...(hosts.get(row.host) ?? []), row]);
  return hosts;
}

async function send(operation, host, ids) {
  try {
    const { data } = await ask("POST", "/api/v1/queue/bulk", { operation, message_ids: ids, host }, PATIENCE_MS);
    return data.results;
  } catch (error) {
    const late = error instanceof Refusal && error.status === 504 && /operation ([0-9a-f]{32})/.exec(error.message);
    if (!late) throw error;
    return (await followed(late[1], progress.value.done)).results;
  }
}

/** A host that is slow is asked until it is done; somebody may call it off meanwhile. */
async function followed(id, begun) {
  for (;;) {
    const { data } = await ask("GET", `/api/v1/queue/operations/${id}`);
    progress.value = { ...progress.value, done: begun + data.settled_count, operationId: id };
    if (data.finished_at || data.cancelled_at) return data;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

export function Progress() {
  if (!progress.value) return null;
  const { done, all, operationId } = progress.value;
  return html`<p class="acts">
    <progress max=${all} value=${done} aria-label=${text("mail.progress")}></progress>
    <span role="status">${text("mail.so_far", { n: number(done), all: number(all) })}</span>
    ${operationId &&
    html`<button type="button" class="copy" onClick=${() => ask("POST", `/api/v1/queue/operations/${operationId}/cancel`)}>${text("mail.call_off")}</button>`}
  </p>`;
}
