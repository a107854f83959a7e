// The visitor's page: shows what becomes of a place in line, and says it aloud now and then.

import { computed, effect } from "@preact/signals-core";

import { Line } from "./line.js";
import { announce, bind } from "./page.js";
import { countdown, range } from "./spans.js";
import { number, text } from "./texts.js";

const SAID_EVERY_MS = 30_000;
const COPIED_MS = 2_000;
const root = document.getElementById("wait");
const main = document.getElementById("main");
const [progress, facts, go, join, keep] = ["progress", "facts", "go", "join", "keep"].map((id) =>
  document.getElementById(id),
);

/** Take a link's token out of the address, where it would be sent on with it. */
function tokenOfLink() {
  const token = location.hash.slice(1);
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}

// Who came by the button without scripts is reloaded by the server; with scripts nobody need be.
const query = new URLSearchParams(location.search);
if (query.has("still")) {
  query.delete("still");
  location.replace(`${location.pathname}?${query}`);
}

const line = new Line(location.pathname + location.search, JSON.parse(root.dataset.view));
const { view } = line;

// What is shown ----------------------------------------------------------------------------------

const isInLine = computed(
  () => ["waiting", "paused"].includes(view.value.state) || (isEarly.value && !view.value.draw),
);
const isEarly = computed(() => view.value.state === "early");

const headline = computed(() => {
  const { state, position } = view.value;
  if (isEarly.value) return text("wait.opens", { time: countdown(line.opensInS.value ?? 0) });
  if (!isInLine.value) return text(`headline.${state}`);
  return position === 1 ? text("wait.next") : text("wait.number", { n: number(position) });
});
const note = computed(() => text(`note.${isEarly.value && view.value.draw ? "drawn" : view.value.state}`));
const time = computed(() =>
  isInLine.value && view.value.state === "waiting"
    ? range(view.value.low_seconds, view.value.high_seconds)
    : text("span.unknown"),
);
const length = computed(() =>
  view.value.queue_length === null ? null : number(view.value.queue_length),
);

bind(root, { headline, note, time, length });

effect(() => {
  const { state, token, position, first_position: first, redirect_url: url } = view.value;
  const hadFocus = [keep, join].some((part) => part.contains(document.activeElement));
  root.dataset.state = state;
  progress.hidden = facts.hidden = !isInLine.value;
  if (isInLine.value) progress.value = first > 1 ? (100 * (first - position)) / (first - 1) : 100;
  keep.hidden = !token || !(isInLine.value || isEarly.value);
  go.hidden = state !== "admitted";
  if (url) go.href = url;
  join.hidden = !["expired", "left"].includes(state);
  // The button that was pressed may be gone: who uses a keyboard goes on from here, not from the top.
  if (hadFocus && document.activeElement.closest("[hidden]") !== null) main.focus();
});

effect(() => {
  const { state, position, title, name } = view.value;
  const isCounted = isInLine.value && !isEarly.value;
  const first = isCounted ? number(position) : isEarly.value ? null : text(`headline.${state}`);
  document.title = [first, title || name].filter(Boolean).join(" · ");
});

// What is said -----------------------------------------------------------------------------------

// Whoever listens hears of a new state at once, and of steps in line twice a minute at most.
let said = { state: view.value.state, position: view.value.position, atMs: performance.now() };

effect(() => {
  const { state, position } = view.value;
  const nowMs = performance.now();
  if (state === said.state) {
    if (!isInLine.value || position === said.position || nowMs - said.atMs < SAID_EVERY_MS) return;
    announce(text("wait.news", { n: number(position), time: time.value }));
  } else {
    const isCountdown = isEarly.value;
    announce(isCountdown ? note.value : `${headline.value}. ${note.value}`);
  }
  said = { state, position, atMs: nowMs };
});

// What one can do --------------------------------------------------------------------------------

const joinLabel = join.querySelector("button");
join.classList.remove("late");
join.hidden = true;
joinLabel.textContent = text("wait.again");
join.addEventListener("submit", (event) => {
  event.preventDefault();
  line.join();
});
document.getElementById("leave").addEventListener("submit", (event) => {
  event.preventDefault();
  line.leave();
});

const copy = document.getElementById("copy");
const copyLabel = copy.textContent;
copy.hidden = document.getElementById("link-note").hidden = !navigator.clipboard;
copy.addEventListener("click", async () => {
  const link = `${location.origin}${location.pathname}${location.search}#${view.value.token}`;
  await navigator.clipboard.writeText(link);
  copy.textContent = text("wait.copied");
  announce(copy.textContent);
  setTimeout(() => {
    copy.textContent = copyLabel;
  }, COPIED_MS);
});

line.start(tokenOfLink());
