// What asks back before it is done: a break, and another counter.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { ask } from "./ask.js";
import { html } from "./html.js";
import { clock } from "./officer_parts.js";
import { number, text } from "./texts.js";

const MINUTES = [5, 10, 15, 30, 60];
const MINUTE_MS = 60_000;

function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  useEffect(() => {
    element.current.showModal();
  }, []);
  return html`
    <dialog ref=${element} aria-labelledby="dialog-title" onClose=${onClose}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
      <button type="button" class="quiet" onClick=${() => element.current.close()}>
        ${text("officer.cancel")}
      </button>
    </dialog>
  `;
}

/** A break: why, and when it is expected to end. */
export function BreakDialog({ desk, onClose }) {
  async function send(event) {
    event.preventDefault();
    const { reason, minutes } = event.target;
    const until = minutes.value && new Date(Date.now() + Number(minutes.value) * MINUTE_MS);
    await desk.pause(reason.value.trim(), until && until.toISOString());
    onClose(); // why it failed, if it did, stands on the page
  }
  return html`
    <${Dialog} title=${text("officer.break_title")} onClose=${onClose}>
      <form onSubmit=${send}>
        <label for="reason">${text("officer.reason")}</label>
        <input id="reason" name="reason" list="reasons" maxlength="500" autocomplete="off" />
        <datalist id="reasons">
          ${["lunch", "meeting", "fetching"].map(
            (each) => html`<option key=${each} value=${text(`reason.${each}`)}></option>`,
          )}
        </datalist>
        <label for="minutes">${text("officer.back")}</label>
        <select id="minutes" name="minutes">
          <option value="">${text("officer.back_unknown")}</option>
          ${MINUTES.map(
            (each) => html`
              <option key=${each} value=${each} selected=${each === 15}>
                ${text("officer.back_in", { n: each, time: clock(new Date(Date.now() + each * MINUTE_MS)) })}
              </option>
            `,
          )}
        </select>
        <button class="main" type="submit">${text("officer.start_break")}</button>
      </form>
    <//>
  `;
}

const others = signal(null);

/** Another counter, with how many wait there. */
export function TransferDialog({ desk, onClose }) {
  useEffect(() => {
    others.value = null;
    const { id, branch_id: branch } = desk.counter.value;
    ask("GET", `/app/counters?branch_id=${branch}`)
      .then(({ counters }) => {
        others.value = counters.filter((each) => each.id !== id && each.status !== "offline");
      })
      .catch((error) => {
        desk.explain(error);
        onClose();
      });
  }, []);
  async function send(counterId) {
    await desk.transfer(counterId);
    onClose();
  }
  return html`
    <${Dialog} title=${text("officer.transfer_title", { number: desk.ticket.value?.number_text ?? "" })} onClose=${onClose}>
      ${others.value === null && html`<p>${text("officer.looking")}</p>`}
      ${others.value?.length === 0 && html`<p>${text("officer.no_other")}</p>`}
      <ul class="others">
        ${others.value?.map(
          (each) => html`
            <li key=${each.id}>
              <button type="button" class="copy" onClick=${() => send(each.id)}>
                <span>${each.name}</span>
                <span class="since">${text("officer.wait_there", { n: number(each.total_waiting) })}</span>
              </button>
            </li>
          `,
        )}
      </ul>
    <//>
  `;
}
