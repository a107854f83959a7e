// `/ops/rooms`: every room live, and one of them with what can be set, who is inside, and its draw.

import { computed, signal } from "@preact/signals";

import { ask } from "./ask.js";
import { follow, lookSoon, open, Table } from "./console_parts.js";
import { html } from "./html.js";
import { Room } from "./ops_rooms_one.js";
import { number, text } from "./texts.js";

const LOOK_EVERY_MS = 10_000;
const SESSIONS_SHOWN = 50;

const rooms = signal(null); // with all settings
const live = signal(new Map()); // of each room who waits and is inside, null where nobody knows
const chosenId = signal(new URLSearchParams(location.search).get("room")); // the overview may ask for one
const detail = signal(null); // {id, stats, sessions, draw}
const chosen = computed(() => rooms.value?.find((each) => each.id === chosenId.value));

async function lookNow() {
  const found = [];
  let after = "";
  do {
    const page = await ask("GET", `/api/v1/admin/queues?limit=100${after}`);
    found.push(...page.queues);
    after = page.next === null ? null : `&after=${encodeURIComponent(page.next)}`;
  } while (after !== null);
  const id = found.some((each) => each.id === chosenId.value) ? chosenId.value : (found[0]?.id ?? null);
  rooms.value = found;
  chosenId.value = id;
  if (id === null) return;
  const path = `/api/v1/admin/queues/${encodeURIComponent(id)}`;
  const { draw: isDrawn } = found.find((each) => each.id === id);
  const [stats, sessions, draw] = await Promise.all([
    ask("GET", `${path}/stats`),
    ask("GET", `${path}/sessions?limit=${SESSIONS_SHOWN}`),
    isDrawn ? ask("GET", `/api/v1/queues/${encodeURIComponent(id)}/draw`) : null,
  ]);
  if (id === chosenId.value) detail.value = { id, stats, sessions, draw };
}

function choose(id) {
  chosenId.value = id;
  lookSoon();
}

function Board() {
  if (!rooms.value) return html`<p>${text("board.looking")}</p>`;
  if (rooms.value.length === 0) return html`<p>${text("rooms.none")}</p>`;
  const room = chosen.value;
  return html`
    <${Rooms} />
    ${room &&
    html`<${Room} key=${room.id} room=${room} now=${live.value.get(room.id)} detail=${detail.value?.id === room.id ? detail.value : null} />`}
  `;
}

function Rooms() {
  const figure = (value) => (value === null || value === undefined ? "–" : number(value));
  const heads = [
    text("rooms.room"),
    text("rooms.state"),
    `n:${text("fact.waiting")}`,
    `n:${text("fact.inside")}`,
    `n:${text("rooms.rate_short")}`,
  ];
  return html`<${Table} label=${text("rooms.all")} heads=${heads}>
    ${rooms.value.map((room) => {
      const now = live.value.get(room.id);
      return html`<tr key=${room.id}>
        <th scope="row">
          <button type="button" class="plain" aria-pressed=${room.id === chosenId.value} onClick=${() => choose(room.id)}>${room.name}</button>
        </th>
        <td>${text(`room.${room.status}`)}</td>
        <td class="n">${figure(now?.current_waiting)}</td>
        <td class="n">${text("overview.of", { n: figure(now?.current_active), all: number(room.max_active_users) })}</td>
        <td class="n">${number(room.admission_rate)}</td>
      </tr>`;
    })}
  <//>`;
}

if (open(Board, { lookNow, everyMs: LOOK_EVERY_MS })) {
  const changes = ["created", "updated", "paused", "resumed", "maintenance", "deleted"];
  const socket = follow("/rooms", changes.map((each) => `waitingroom.queue.${each}.v1`), lookSoon);
  socket.on("queues", ({ queues }) => {
    live.value = new Map(queues.map((each) => [each.queue_id, each]));
  });
}
