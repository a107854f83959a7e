// Dead messages: chosen, counted, and only then let wait again.

import { useEffect, useRef, useState } from "preact/hooks";

import { ask } from "./ask.js";
import { act, moment, role, say, Table } from "./console_parts.js";
import { html } from "./html.js";
import { number, text } from "./texts.js";

let isWanted = location.hash === "#dead"; // an address with this leads here, once

/** The dead of a queue; who may redrive chooses some, sees how many, and confirms just those. */
export function Redrive({ queue, count }) {
  const [asked, setAsked] = useState(null); // {body, count, confirm, sample}
  const title = useRef(null);

  useEffect(() => {
    if (!isWanted) return;
    isWanted = false;
    title.current.scrollIntoView();
    title.current.focus({ preventScroll: true });
  }, []);

  async function preview(event) {
    event.preventDefault();
    const { type, words, rate } = event.target;
    const filter = { queue };
    if (type.value.trim()) filter.type = type.value.trim();
    if (words.value) filter.search = words.value;
    const body = { filter, ...(rate.value && { rate_per_second: Number(rate.value) }) };
    const found = await act(() => ask("POST", "/api/queue/dead/redrive", { ...body, preview: true }));
    setAsked(found ? { body, ...found } : null);
  }
  function close() {
    title.current.focus({ preventScroll: true }); // the pressed button goes, the keyboard's place stays
    setAsked(null);
  }
  async function redrive() {
    const { body, confirm } = asked;
    const done = await act(() => ask("POST", "/api/queue/dead/redrive", { ...body, confirm }));
    // What is refused has to be looked at again; what one request did not reach goes on by its confirm.
    if (done?.left) setAsked({ body, count: done.left, confirm: done.confirm ?? confirm, sample: [] });
    else close();
    if (done) say(text("dead.done", { n: number(done.count) }));
  }

  return html`<section aria-labelledby="dead">
    <h2 id="dead" tabindex="-1" ref=${title}>${text("dead.title")}</h2>
    <p>${count === 0 ? text("dead.none") : text("dead.count", { n: number(count) })}</p>
    ${role !== "admin"
      ? html`<p class="soft">${text("dead.admins")}</p>`
      : html`<form class="row" onSubmit=${preview} onInput=${() => setAsked(null)}>
          <label>${text("messages.type")} <input name="type" maxlength="255" autocomplete="off" /></label>
          <label>${text("find.words")} <input name="words" maxlength="500" autocomplete="off" /></label>
          <label>${text("dead.rate")} <input name="rate" type="number" min="0.001" max="10000" step="any" /></label>
          <button class="copy" type="submit">${text("dead.preview")}</button>
        </form>`}
    <div role="status">${asked && html`<${Preview} asked=${asked} onYes=${redrive} onNo=${close} />`}</div>
  </section>`;
}

function Preview({ asked, onYes, onNo }) {
  if (asked.count === 0) return html`<p>${text("find.none")}</p>`;
  const heads = [text("find.id"), text("messages.type"), text("find.created"), text("find.error")];
  return html`<div class="asked">
    <p>${text("dead.found", { n: number(asked.count) })}</p>
    ${asked.sample.length > 0 &&
    html`<${Table} label=${text("dead.sample")} heads=${heads}>
      ${asked.sample.map(
        (each) => html`<tr key=${each.id}>
          <td><code>${each.id}</code></td>
          <td>${each.type ?? text("messages.no_type")}</td>
          <td class="when">${moment(each.created_at)}</td>
          <td class="long">${each.last_error ?? "–"}</td>
        </tr>`,
      )}
    <//>`}
    <p class="acts">
      <button type="button" class="main" onClick=${onYes}>${text("dead.redrive", { n: number(asked.count) })}</button>
      <button type="button" class="quiet" onClick=${onNo}>${text("board.not_now")}</button>
    </p>
  </div>`;
}
