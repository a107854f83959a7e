// What people noted about a message, for one another: tags and notes. They outlive the message.

import { useEffect, useState } from "preact/hooks";

import { ask } from "./ask.js";
import { act, explain, moment } from "./console_parts.js";
import { html } from "./html.js";
import { OneField } from "./ops_mail_envelope.js";
import { text } from "./texts.js";

const NOTE_CHARACTERS_MAX = 2_000;

export function Remarks({ id, mayWrite }) {
  const [tags, setTags] = useState([]);
  const [notes, setNotes] = useState([]);
  const at = `/api/v1/messages/${id}`;
  function look() {
    return Promise.all([ask("GET", `${at}/tags`), ask("GET", `${at}/notes`)])
      .then(([tagged, noted]) => {
        setTags(tagged.data.tags);
        setNotes(noted.data.notes);
      })
      .catch(explain);
  }
  useEffect(() => {
    look();
  }, [id]);
  const change = (method, path, body) => act(() => ask(method, `${at}/${path}`, body)).then(look);
  if (!mayWrite && tags.length + notes.length === 0) return null;
  return html`
    <h3>${text("mail.remarks")}</h3>
    ${tags.length > 0 &&
    html`<ul class="hosts" aria-label=${text("mail.tags")}>
      ${tags.map((each) => html`<li key=${each.id}>
        <strong>${each.tag}</strong>
        ${mayWrite && html`<button type="button" class="quiet" onClick=${() => change("DELETE", `tags/${each.id}`)} aria-label=${text("mail.untag", { tag: each.tag })}>×</button>`}
      </li>`)}
    </ul>`}
    ${notes.length > 0 &&
    html`<ul class="life">
      ${notes.map((each) => html`<li key=${each.id}>
        <time>${moment(each.created_at)}</time> <strong>${each.user}</strong>
        ${!each.is_public && html` <span class="soft">${text("mail.note_private")}</span>`}
        <p class="long">${each.note}</p>
        ${mayWrite && html`<button type="button" class="quiet" onClick=${() => change("DELETE", `notes/${each.id}`)}>${text("mail.delete_note_one")}</button>`}
      </li>`)}
    </ul>`}
    ${mayWrite &&
    html`<${OneField} label=${text("mail.tag")} yes=${text("mail.add")} max="64" onSend=${(tag) => change("POST", "tags", { tag })} />
      <${OneField}
        label=${text("mail.note")}
        yes=${text("mail.add")}
        max=${NOTE_CHARACTERS_MAX}
        onSend=${(note) => change("POST", "notes", { note, is_public: true })}
      />`}
  `;
}
