// The envelope of one message: who is still to get it, and who is told if that fails.

import { useState } from "preact/hooks";

import { ask } from "./ask.js";
import { act, say } from "./console_parts.js";
import { html } from "./html.js";
import { PATIENCE_MS } from "./ops_mail_act.js";
import { text } from "./texts.js";

export function Envelope({ whole, mayEdit, onChanged }) {
  const { envelope, delivered, id, host } = whole;
  const [asked, setAsked] = useState(null); // whom somebody is about to take off
  const at = (what) => `/api/v1/queue/${id}/${what}?host=${encodeURIComponent(host)}`;
  async function change(method, what, body, said) {
    const done = await act(() => ask(method, at(what), body, PATIENCE_MS));
    setAsked(null);
    if (!done) return;
    say(text(said));
    onChanged(done.data);
  }
  const isOpen = (each) => !delivered.includes(each);
  return html`
    <h3>${text("mail.recipients")}</h3>
    <ul class="life">
      ${envelope.recipients.map((each) => html`<li key=${each}>
        ${each} ${!isOpen(each) && html`<strong>${text("mail.delivered")}</strong>`}
        ${mayEdit && isOpen(each) && asked !== each &&
        html`<button type="button" class="quiet" onClick=${() => setAsked(each)}>${text("mail.take_off")}</button>`}
        ${asked === each &&
        html`<p class="notice">${text("mail.take_off_note", { who: each })}
          <button type="button" class="copy" onClick=${() => change("DELETE", "recipients", { addresses: [each] }, "mail.taken_off")}>${text("mail.take_off_yes")}</button>
          <button type="button" class="quiet" onClick=${() => setAsked(null)}>${text("mail.leave")}</button>
        </p>`}
      </li>`)}
    </ul>
    ${mayEdit &&
    html`<${OneField} label=${text("mail.add_recipient")} yes=${text("mail.add")} onSend=${(address) => change("POST", "recipients", { addresses: [address] }, "mail.added")} />
      <${OneField}
        label=${text("mail.new_sender")}
        yes=${text("mail.change")}
        placeholder=${envelope.sender}
        onSend=${(sender) => change("PUT", "sender", { sender }, "mail.sender_changed")}
      />`}
  `;
}

/** A form of one field; what was sent leaves it. */
export function OneField({ label, yes, onSend, placeholder = "", max = 320 }) {
  function send(event) {
    event.preventDefault();
    const form = event.target;
    const value = form.elements.value.value.trim();
    if (value) onSend(value).then(() => form.reset());
  }
  return html`<form class="row" onSubmit=${send}>
    <label>${label} <input name="value" maxlength=${max} autocomplete="off" spellcheck="false" placeholder=${placeholder} /></label>
    <button type="submit" class="copy">${yes}</button>
  </form>`;
}
