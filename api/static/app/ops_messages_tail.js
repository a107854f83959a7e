// What happens to messages, as it happens: the last lines, which stand still while somebody reads them.

import { signal } from "@preact/signals";

import { html } from "./html.js";
import { locale, text } from "./texts.js";

export const EVENTS = [
  ...["enqueue", "dequeue", "ack", "nack", "expire"],
  ...["dead", "edit", "delete", "move", "redrive"],
];
const LINES_MAX = 100;
const SHOW_EVERY_MS = 250; // nobody reads faster, and a busy queue has thousands a second

const shown = signal([]);
const isStill = signal(false);
let lines = [];
let isDue = false;
let count = 0;

/** The last events, and a button to hold them still. */
export function Tail() {
  const hold = () => {
    isStill.value = !isStill.value;
    shown.value = lines;
  };
  return html`<section aria-labelledby="tail">
    <div class="row">
      <h2 id="tail">${text("tail.title")}</h2>
      <button type="button" class="copy" aria-pressed=${isStill.value} onClick=${hold}>${text("tail.hold")}</button>
    </div>
    ${shown.value.length === 0
      ? html`<p>${text("tail.none")}</p>`
      : html`<div class="tail" tabindex="0" role="log" aria-live="off" aria-label=${text("tail.log")}>
          <ol>
            ${shown.value.map(
              (line) => html`<li key=${line.key}>
                <time>${line.at}</time> <strong>${text(`tail.${line.name}`)}</strong> <code>${line.id}</code> <span>${line.about}</span>
              </li>`,
            )}
          </ol>
        </div>`}
  </section>`;
}

Tail.add = (name, data) => {
  const about = [data.type, data.consumer_id, data.error, data.queue].filter(Boolean).join(" · ");
  count += 1;
  const line = { key: count, at: new Date().toLocaleTimeString(locale), name, id: data.id, about };
  lines = [line, ...lines].slice(0, LINES_MAX);
  if (isDue) return;
  isDue = true;
  setTimeout(() => {
    isDue = false;
    if (!isStill.value) shown.value = lines;
  }, SHOW_EVERY_MS);
};
