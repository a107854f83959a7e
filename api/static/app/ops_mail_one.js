// One message: its envelope, headers and text, what became of it, and its lines in the log.
//
// All of it was written by somebody else, and is shown as text.

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";

import { ask } from "./ask.js";
import { act, Dialog, explain, moment } from "./console_parts.js";
import { html } from "./html.js";
import { PATIENCE_MS } from "./ops_mail_act.js";
import { Dialogue } from "./ops_mail_dialogue.js";
import { Envelope } from "./ops_mail_envelope.js";
import { Remarks } from "./ops_mail_remarks.js";
import { number, text } from "./texts.js";

const SOON_MS = 300;

/** Counts what happened to the mail while a message is open: it may have happened to that one. */
export const happened = signal(0);

export function Letter({ of: { host, id }, mayAct, isAdmin, onClose }) {
  const [whole, setWhole] = useState(null);
  const [content, setContent] = useState(null);
  const [retries, setRetries] = useState([]);
  const query = `host=${encodeURIComponent(host)}`;
  async function look() {
    try {
      const [{ data }, planned] = await Promise.all([
        ask("GET", `/api/v1/queue/${id}?${query}`),
        ask("GET", `/api/v1/messages/${id}/retry-schedule?${query}`),
      ]);
      setWhole(data);
      setRetries(planned.data.retry_schedule);
    } catch (error) {
      explain(error);
      onClose();
    }
  }
  // Delivered whole, it is gone, and what was said stays on the page.
  const lookIfThere = () => ask("GET", `/api/v1/queue/${id}?${query}`).then(({ data }) => setWhole(data)).catch(() => {});
  useEffect(() => {
    look();
  }, [host, id]);
  // The index hears of a change a moment after it was made.
  const soon = useRef(null);
  useEffect(() => {
    soon.current ??= setTimeout(() => {
      soon.current = null;
      lookIfThere();
    }, SOON_MS);
  }, [happened.value]);
  async function read() {
    const answer = await act(() => ask("GET", `/api/v1/messages/${id}/content?${query}`, undefined, PATIENCE_MS));
    if (answer) setContent(answer.data);
  }
  const deliver = () => act(() => ask("POST", `/api/v1/queue/${id}/deliver?${query}`, undefined, PATIENCE_MS));
  return html`<${Dialog} title=${id} onClose=${onClose}>
    ${whole === null
      ? html`<p>${text("board.looking")}</p>`
      : html`<${Facts} whole=${whole} />
          <${Envelope} whole=${whole} mayEdit=${isAdmin} onChanged=${look} />
          ${mayAct && html`<p class="acts"><button type="button" class="copy" onClick=${deliver}>${text("mail.deliver")}</button></p>`}
          <${Dialogue} host=${host} id=${id} onOver=${lookIfThere} />
          <${Whole} whole=${whole} retries=${retries} />`}
    ${content && html`<${Content} content=${content} />`}
    ${whole && isAdmin && !content && html`<p class="acts"><button type="button" class="copy" onClick=${read}>${text("mail.read")}</button></p>`}
    ${whole && html`<${Remarks} id=${id} mayWrite=${mayAct} />`}
  <//>`;
}

function Facts({ whole }) {
  const { envelope } = whole;
  const facts = [
    ["host", whole.host],
    ["status", text(`mail.${whole.is_delivering ? "delivering" : whole.status}`)],
    ["sender", envelope.sender],
    ["size", text("mail.bytes", { n: number(envelope.size) })],
    ["received", moment(envelope.received_at)],
    ["next", whole.next_retry ? moment(whole.next_retry) : "–"],
  ];
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${text(`mail.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Whole({ whole, retries }) {
  return html`
    ${retries.length > 0 &&
    html`<h3>${text("mail.retries")}</h3>
      <ul class="life">
        ${retries.map((each) => html`<li key=${each.recipient}><time>${moment(each.scheduled_at)}</time> ${each.recipient}
          <p class="long">${each.reason}</p></li>`)}
      </ul>`}
    ${!whole.is_read && html`<p class="notice">${text("mail.unread", { host: whole.host })}</p>`}
    ${whole.content_preview && html`<h3>${text("mail.preview")}</h3><pre tabindex="0">${whole.content_preview}</pre>`}
    ${whole.delivery_attempts.length > 0 &&
    html`<h3>${text("mail.attempts")}</h3>
      <ol class="life">
        ${whole.delivery_attempts.map((each) => html`<li key=${each.id}>
          <time>${moment(each.timestamp)}</time> ${each.recipient} <strong>${text(`mail.was_${each.status}`)}</strong>
          ${each.error_message && html`<p class="long">${each.error_message}</p>`}
        </li>`)}
      </ol>`}
    ${whole.smtp_logs.length > 0 &&
    html`<h3>${text("mail.log")}</h3>
      <ol class="life">${whole.smtp_logs.map((each, index) => html`<li key=${index}><time>${moment(each.timestamp)}</time> ${loggedAs(each)}</li>`)}</ol>`}
  `;
}

// What is said of a line of the log, by its kind; others are Exim's own words.
const LOGGED = new Set(["arrival", "delivery", "defer", "bounce", "reject", "completed", "freeze", "thaw", "delete", "cancel", "modify"]);
const loggedAs = ({ event, sender, recipient, message }) =>
  LOGGED.has(event) ? text(`mail.log_${event}`, { who: (event === "arrival" ? sender : recipient) ?? "–" }) : message;

function Content({ content }) {
  const headers = content.headers.map(({ name, value }) => `${name}: ${value}`).join("\n");
  return html`
    <h3>${text("mail.headers")}</h3>
    <pre tabindex="0">${headers}</pre>
    <h3>${text("mail.body")}</h3>
    <pre tabindex="0">${content.content}</pre>
    ${content.is_cut && html`<p class="soft">${text("mail.cut", { n: number(content.content_bytes) })}</p>`}
    ${content.message_log && html`<h3>${text("mail.own_log")}</h3><pre tabindex="0">${content.message_log}</pre>`}
  `;
}
