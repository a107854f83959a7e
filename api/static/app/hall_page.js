// `/ops/tickets`: the halls as a supervisor sees them, live, and what can be set there.

import { signal } from "@preact/signals";
import { effect } from "@preact/signals-core";
import { render } from "preact";

import { ask } from "./ask.js";
import { Clips } from "./hall_clips.js";
import { followHall } from "./hall_line.js";
import { html } from "./html.js";
import { Announcing, Counters, Hours, Procedures } from "./hall_settings.js";
import { isAway } from "./live.js";
import { oneAtATime } from "./looks.js";
import "./page.js";
import { Reports } from "./hall_reports.js";
import { number, text } from "./texts.js";

const LOOK_EVERY_MS = 30_000;
const GATHER_MS = 300;
const LONG_WAIT_MIN = 30; // beyond it somebody has to look

const root = document.getElementById("hall");
const hall = signal(null); // {counters, branches, procedures}
const list = signal(null);
const refusal = signal(null);
const isDone = signal(false); // the last change holds
let timer = null;

const look = oneAtATime(async () => {
  clearTimeout(timer);
  timer = setTimeout(look, LOOK_EVERY_MS);
  if (document.hidden) return;
  try {
    const [counters, branches, procedures] = await Promise.all([
      ask("GET", "/app/counters"),
      ask("GET", "/app/branches"),
      ask("GET", "/app/procedures?include_inactive=true"),
    ]);
    hall.value = { ...counters, ...branches, ...procedures };
    list.value = (await follower.state()) ?? list.value;
    isAway.value = false;
  } catch (error) {
    if (error.status) refusal.value = error.message;
    else isAway.value = true;
  }
});

let soon = null;
const lookSoon = () => {
  soon ??= setTimeout(() => {
    soon = null;
    look();
  }, GATHER_MS);
};

/** Change something; what is refused says why, and what was written stays. */
async function change(method, path, body) {
  isDone.value = false;
  try {
    await ask(method, path, body);
    refusal.value = null;
    await look();
    isDone.value = true;
    return true;
  } catch (error) {
    const facts = error.code === "invalid" ? Object.entries(error.details).map(([field, fault]) => `${field}: ${fault}`) : [];
    refusal.value = error.status ? [error.message, ...facts].join(" – ") : text("refusal.away");
    return false;
  }
}

function Board() {
  if (!hall.value) return html`<p>${text("hall.looking")}</p>`;
  const { counters, branches, procedures } = hall.value;
  return html`
    <div class="told" role="alert">${refusal.value && html`<p class="notice refusal">${refusal.value}</p>`}</div>
    <div class="told" role="status">${isDone.value && html`<p class="notice">${text("hall.done")}</p>`}</div>
    ${counters.length === 0 ? html`<p>${text("hall.none")}</p>` : html`<${Load} />`}
    <${Reports} branches=${branches} />
    <${Announcing} onChange=${change} />
    <${Counters} counters=${counters} onChange=${change} />
    <${Procedures} procedures=${procedures} counters=${counters} onChange=${change} />
    <${Clips} branches=${branches} onChange=${change} />
    <${Hours} branches=${branches} onChange=${change} />
  `;
}

function Load() {
  const lines = new Map((list.value?.counters ?? []).map((each) => [each.counter_id, each]));
  const longest = Math.max(0, ...[...lines.values()].flatMap((each) => each.waiting_queue.map((one) => one.waited_minutes)));
  return html`
    <section aria-labelledby="now">
      <h2 id="now">${text("hall.now")}</h2>
      <dl class="counts">
        <div><dt>${text("hall.waiting")}</dt><dd>${number(list.value?.total_waiting_all ?? 0)}</dd></div>
        <div class=${longest >= LONG_WAIT_MIN ? "alarm" : null}>
          <dt>${text("hall.longest")}</dt><dd>${text("hall.minutes", { n: number(longest) })}</dd>
        </div>
      </dl>
      ${longest >= LONG_WAIT_MIN && html`<p class="notice refusal" role="status">${text("hall.alarm", { n: number(LONG_WAIT_MIN) })}</p>`}
      <div class="scroll" tabindex="0" role="region" aria-label=${text("hall.load")}>
        <table>
          <thead>
            <tr>
              <th scope="col">${text("hall.counter")}</th>
              <th scope="col">${text("hall.state")}</th>
              <th scope="col">${text("hall.there")}</th>
              <th scope="col" class="n">${text("hall.waiting")}</th>
              <th scope="col" class="n">${text("hall.longest")}</th>
              <th scope="col" class="n">${text("hall.service")}</th>
            </tr>
          </thead>
          <tbody>
            ${hall.value.counters.map((each) => html`<${Row} key=${each.id} counter=${each} line=${lines.get(each.id)} />`)}
          </tbody>
        </table>
      </div>
    </section>
  `;
}

function Row({ counter, line }) {
  const waits = (line?.waiting_queue ?? []).map((each) => each.waited_minutes);
  const longest = Math.max(0, ...waits);
  return html`
    <tr>
      <th scope="row">${counter.name}</th>
      <td>${text(`counter.${counter.status}`)}${counter.pause_reason && html`<br /><small>${counter.pause_reason}</small>`}</td>
      <td>${line?.current_serving?.number_text ?? "–"}</td>
      <td class="n">${number(counter.total_waiting)}</td>
      <td class=${longest >= LONG_WAIT_MIN ? "n alarm" : "n"}>${text("hall.minutes", { n: number(longest) })}</td>
      <td class="n">${text("hall.minutes", { n: number(counter.average_service_time) })}</td>
    </tr>
  `;
}

const follower = root.hidden
  ? null
  : followHall({
      onState: (told) => {
        list.value = told;
        lookSoon();
      },
      onChange: lookSoon,
    });
effect(() => {
  root.dataset.live = String(!isAway.value);
});
if (follower) {
  document.addEventListener("visibilitychange", look);
  addEventListener("online", look);
  const board = document.getElementById("board");
  board.replaceChildren();
  render(html`<${Board} />`, board);
  look();
}
