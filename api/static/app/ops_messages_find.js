// Looking for messages, and one message with everything that happened to it.

import { useState } from "preact/hooks";

import { ask } from "./ask.js";
import { act, Dialog, moment, role, say, Table } from "./console_parts.js";
import { html } from "./html.js";
import { text } from "./texts.js";

const LISTS = ["main", "delayed", "processing", "dead", "acknowledged", "archived"];
const LIMIT = "25";

/** A form, and what it found; what was found stays until somebody looks again. */
export function Finder({ queue }) {
  const [found, setFound] = useState(null); // {list, filter, messages, cursor}
  const [opened, setOpened] = useState(null);

  async function find(list, filter, before) {
    const page = await act(() => ask("GET", `/api/queue/${list}/messages?${filter}`));
    if (!page) return;
    setFound({ list, filter, messages: [...before, ...page.messages], cursor: page.cursor });
  }
  function search(event) {
    event.preventDefault();
    const { list, type, words } = event.target;
    const filter = new URLSearchParams({ queue, limit: LIMIT });
    if (type.value.trim()) filter.set("type", type.value.trim());
    if (words.value) filter.set("search", words.value);
    find(list.value, filter, []);
  }
  function more() {
    const filter = new URLSearchParams(found.filter);
    filter.set("cursor", found.cursor);
    find(found.list, filter, found.messages);
  }
  async function show(id) {
    const path = `/api/queue/message/${encodeURIComponent(id)}`;
    const both = await act(() => Promise.all([ask("GET", path), ask("GET", `${path}/activity?limit=200`)]));
    if (both) setOpened({ message: both[0], life: both[1] });
  }

  return html`<section aria-labelledby="find">
    <h2 id="find">${text("find.title")}</h2>
    <form class="row" role="search" onSubmit=${search}>
      <label>${text("find.list")}
        <select name="list">${LISTS.map((each) => html`<option key=${each} value=${each}>${text(`find.${each}`)}</option>`)}</select>
      </label>
      <label>${text("messages.type")} <input name="type" maxlength="255" autocomplete="off" /></label>
      <label>${text("find.words")} <input name="words" maxlength="500" autocomplete="off" /></label>
      <button class="copy" type="submit">${text("find.search")}</button>
    </form>
    ${found && html`<${Found} found=${found} onShow=${show} onMore=${more} />`}
    ${opened && html`<${One} of=${opened} onClose=${() => setOpened(null)} />`}
  </section>`;
}

function Found({ found, onShow, onMore }) {
  if (found.messages.length === 0 && !found.cursor) return html`<p role="status">${text("find.none")}</p>`;
  const heads = [text("find.id"), text("messages.type"), `n:${text("find.attempts")}`, text("find.created"), text("find.error")];
  return html`
    <${Table} label=${text("find.found")} heads=${heads}>
      ${found.messages.map(
        (each) => html`<tr key=${each.id}>
          <td><button type="button" class="plain" onClick=${() => onShow(each.id)}><code>${each.id}</code></button></td>
          <td>${each.type ?? text("messages.no_type")}</td>
          <td class="n">${text("overview.of", { n: each.attempt_count, all: each.max_attempts })}</td>
          <td class="when">${moment(each.created_at)}</td>
          <td class="long">${each.last_error ?? "–"}</td>
        </tr>`,
      )}
    <//>
    ${found.cursor && html`<p class="acts"><button type="button" class="copy" onClick=${onMore}>${text("find.more")}</button></p>`}
  `;
}

function One({ of: { message, life }, onClose }) {
  const facts = [
    ["type", message.type ?? text("messages.no_type")],
    ["queue", message.queue],
    ["state", text(`find.${message.status === "queued" ? "main" : message.status}`)],
    ["attempts", text("overview.of", { n: message.attempt_count, all: message.max_attempts })],
    ["priority", String(message.priority)],
    ["created", moment(message.created_at)],
  ];
  async function redrive() {
    const done = await act(() => ask("POST", "/api/queue/dead/redrive", { ids: [message.id] }));
    if (done) say(text("dead.done", { n: done.count }));
    onClose();
  }
  return html`<${Dialog} title=${message.id} onClose=${onClose}>
    <dl class="facts">
      ${facts.map(([name, value]) => html`<div key=${name}><dt>${text(`one.${name}`)}</dt><dd>${value}</dd></div>`)}
    </dl>
    ${message.last_error && html`<h3>${text("find.error")}</h3><pre tabindex="0">${message.last_error}</pre>`}
    <h3>${text("one.payload")}</h3>
    <pre tabindex="0">${JSON.stringify(message.payload, null, 2)}</pre>
    <h3>${text("one.life")}</h3>
    <ol class="life">
      ${life.activity.map(
        (each, index) => html`<li key=${index}>
          <time>${moment(each.at)}</time> <strong>${text(`life.${each.event}`)}</strong>
          ${each.attempt > 0 && html` ${text("one.attempt", { n: each.attempt })}`}
          ${each.consumer_id && html` <code>${each.consumer_id}</code>`}
          ${each.error && html`<p class="long">${each.error}</p>`}
        </li>`,
      )}
    </ol>
    ${message.status === "dead" && role === "admin" && html`<p class="acts"><button type="button" class="main" onClick=${redrive}>${text("dead.one")}</button></p>`}
  <//>`;
}
