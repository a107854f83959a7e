// `/ops/audit`: who changed what, from where, and what came of it; by page, and as a file.

import { signal } from "@preact/signals";

import { ask } from "./ask.js";
import { act, moment, open, Table } from "./console_parts.js";
import { html } from "./html.js";
import { text } from "./texts.js";

const LOOK_EVERY_MS = 15_000;
const LIMIT = 50;
const EXPORT_MAX = 1_000;
const PATH = "/api/v1/auth/audit";
const WORDS = ["actor", "action", "target"];
const MOMENTS = ["since", "until"];

const filter = signal({}); // WORDS and MOMENTS: what was asked for
const entries = signal(null);
const hasMore = signal(false);

const query = (more) => new URLSearchParams({ ...filter.value, ...more });

async function lookNow() {
  const asked = filter.value;
  const { data } = await ask("GET", `${PATH}?${query({ limit: LIMIT })}`);
  if (asked !== filter.value) return;
  const shown = entries.value ?? [];
  const oldest = data.at(-1)?.id ?? 0;
  const kept = shown.filter((each) => each.id < oldest); // older ones that somebody asked for
  // After a long rest there may be entries between: then the page begins anew.
  const joins = shown.some((each) => each.id === oldest);
  entries.value = joins ? [...data, ...kept] : data;
  if (!joins) hasMore.value = data.length === LIMIT;
}

function find(event) {
  event.preventDefault();
  const fields = event.target;
  const written = [
    ...WORDS.map((name) => [name, fields[name].value.trim()]),
    ...MOMENTS.map((name) => [name, inUtc(fields[name].value)]),
  ];
  filter.value = Object.fromEntries(written.filter(([, value]) => value));
  entries.value = null;
  act(async () => {});
}

/** Return a moment of the reader's clock as the server is told it; nothing for none. */
function inUtc(local) {
  return local && new Date(local).toISOString();
}

async function older() {
  const last = entries.value.at(-1).id;
  const answer = await act(() => ask("GET", `${PATH}?${query({ limit: LIMIT, before_id: last })}`));
  if (!answer || entries.value?.at(-1)?.id !== last) return;
  entries.value = [...entries.value, ...answer.data];
  hasMore.value = answer.data.length === LIMIT;
}

function Board() {
  return html`
    <form class="row" role="search" onSubmit=${find}>
      ${WORDS.map(
        (name) => html`<label key=${name}>${text(`audit.${name}`)} <input name=${name} maxlength="255" autocomplete="off" /></label>`,
      )}
      ${MOMENTS.map(
        (name) => html`<label key=${name}>${text(`audit.${name}`)} <input name=${name} type="datetime-local" autocomplete="off" /></label>`,
      )}
      <button class="copy" type="submit">${text("audit.find")}</button>
      <a class="csv" href=${`${PATH}?${query({ limit: EXPORT_MAX, format: "csv" })}`} download>${text("audit.csv")}</a>
    </form>
    <${Entries} />
  `;
}

function Entries() {
  if (!entries.value) return html`<p>${text("board.looking")}</p>`;
  if (entries.value.length === 0) return html`<p role="status">${text("audit.none")}</p>`;
  const heads = ["when", "actor", "action", "target", "details", "way"].map((each) => text(`audit.${each}`));
  return html`
    <${Table} label=${text("audit.entries")} heads=${heads}>
      ${entries.value.map(
        (each) => html`<tr key=${each.id}>
          <td class="when">${moment(each.timestamp)}</td>
          <th scope="row">${each.actor}</th>
          <td><code>${each.action}</code>${each.outcome !== "done" && html` <strong>${text("audit.refused")}</strong>`}</td>
          <td class="long">${each.target}</td>
          <td class="long"><code>${Object.keys(each.details).length ? JSON.stringify(each.details) : "–"}</code></td>
          <td><small>${each.credential} ${each.ip_address}</small></td>
        </tr>`,
      )}
    <//>
    ${hasMore.value && html`<p class="acts"><button type="button" class="copy" onClick=${older}>${text("audit.older")}</button></p>`}
  `;
}

open(Board, { lookNow, everyMs: LOOK_EVERY_MS });
