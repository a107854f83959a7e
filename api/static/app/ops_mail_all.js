// Acting on all that a filter finds: shown first by the server, and done when somebody has seen it.

import { signal } from "@preact/signals";

import { ask } from "./ask.js";
import { act, Asking, say } from "./console_parts.js";
import { html } from "./html.js";
import { carryOutAll } from "./ops_mail_act.js";
import { number, text } from "./texts.js";

// What narrows a list, by the names that a search has for it: all of them, or more would be found here.
const TEXTS = ["sender", "recipient", "subject", "reason", "status", "host", "message_id", "queue", "sender_domain", "recipient_domain"];
const AGES = { age_min: "min_age", age_max: "max_age" };
const NUMBERS = { size_min: "min_size", size_max: "max_size", retry_count_min: "min_retries", retry_count_max: "max_retries" };

/** Whether what is chosen is all that is found, on every page. */
export const everything = signal(false);
const shown = signal(null); // a preview

function criteriaOf(asked) {
  const given = (names) => Object.entries(names).filter(([name]) => asked.get(name));
  return Object.fromEntries([
    ...TEXTS.filter((name) => asked.get(name)).map((name) => [name, asked.get(name)]),
    ...given(AGES).map(([name, theirs]) => [theirs, asked.get(name)]),
    ...given(NUMBERS).map(([name, theirs]) => [theirs, Number(asked.get(name))]),
  ]);
}

/** Ask whether an operation is to be done to so many messages. */
export const asking = (operation, count) => text(`mail.${count === 1 ? "one" : "all"}_${operation}`, { n: number(count) });

/** Show what an operation would be done to. */
export async function showAll(operation, asked) {
  const body = { operation, criteria: criteriaOf(asked) };
  const answer = await act(() => ask("POST", "/api/v1/queue/matching", body));
  if (answer) shown.value = answer.data;
}

/** What would be done, and the way to do it. */
export function Shown({ onFailed }) {
  if (!shown.value) return null;
  const { operation, criteria, count, sample, confirm } = shown.value;
  async function go() {
    const done = await act(() => carryOutAll(operation, criteria, confirm));
    if (!done) return;
    everything.value = false;
    say(text(`mail.done_${operation}`, { n: number(done.successful_count), all: number(done.total_messages) }));
    onFailed(done.results.filter((each) => !each.success));
  }
  return html`<${Asking}
    title=${asking(operation, count)}
    yes=${text(`mail.${operation}`)}
    onYes=${go}
    onClose=${() => (shown.value = null)}
  >
    ${["delete", "bounce"].includes(operation) && html`<p>${text(`mail.${operation}_note`)}</p>`}
    <p class="soft">${text("mail.oldest_of_them")}</p>
    <ul class="life">
      ${sample.map((each) => html`<li key=${`${each.host} ${each.id}`}><code>${each.id}</code> ${each.sender} ${text("mail.to", { who: each.recipients.slice(0, 2).join(", ") })}</li>`)}
    </ul>
  <//>`;
}

/** Below the list's head: choose beyond the page. */
export function ChooseAll({ total, here }) {
  if (total <= here) return null;
  return html`<p class="acts">
    ${everything.value && html`<span role="status">${text("mail.all_chosen", { n: number(total) })}</span>`}
    <button type="button" class="quiet" aria-pressed=${String(everything.value)} onClick=${() => (everything.value = !everything.value)}>
      ${text(everything.value ? "mail.choose_none" : "mail.choose_all", { n: number(total) })}
    </button>
  </p>`;
}
