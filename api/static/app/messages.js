// How many messages are in each state: a reading every few seconds, moved on by each event between.

import { batch, signal } from "@preact/signals-core";

import { listen } from "./live.js";
import { number } from "./texts.js";

const STATES = ["queued", "processing", "acknowledged", "dead"];
const MOVES = {
  enqueue: { queued: +1 },
  dequeue: { queued: -1, processing: +1 },
  ack: { processing: -1, acknowledged: +1 },
  nack: { processing: -1, queued: +1 },
  expire: { processing: -1, queued: +1 },
  dead: { queued: -1, dead: +1 },
};
// A busy queue has thousands of events a second; nobody reads numbers that fast.
const SHOW_EVERY_MS = 200;

/**
 * Keep the counts; returns a signal for each state, null until there is news.
 *
 * @param {Element} section holds the numbers that came with the page
 * @param {{activity: import("./activity.js").Activity, beside: Record<string, (told: object) => void>,
 *   onLost: () => void}} options `beside` takes what the stream says of the house, by name
 */
export function startMessages(section, { activity, beside, onLost }) {
  const shown = Object.fromEntries(STATES.map((state) => [state, signal(null)]));
  let counts = countsIn(section);
  let isFirstReading = counts !== null;
  let isDue = false;

  listen("/api/queue/events?house=true", {
    names: ["metrics", ...Object.keys(MOVES), ...Object.keys(beside)],
    onEvent(name, data) {
      if (name in beside) {
        beside[name](JSON.parse(data));
        return;
      }
      if (name === "metrics") read(JSON.parse(data));
      else move(name);
      if (!isDue) setTimeout(show, SHOW_EVERY_MS);
      isDue = true;
    },
    onLost,
  });

  function read(reading) {
    // The first one may be some seconds older than the numbers that came with the page.
    if (!isFirstReading) counts = reading;
    isFirstReading = false;
  }

  function move(name) {
    activity.add(name);
    if (!counts) return;
    for (const [state, step] of Object.entries(MOVES[name])) {
      counts[state] = Math.max(0, counts[state] + step);
    }
  }

  function show() {
    isDue = false;
    if (!counts) return;
    batch(() => {
      for (const state of STATES) shown[state].value = number(counts[state]);
    });
  }

  return shown;
}

/** Return the counts that the server wrote into the page, null if it had none. */
function countsIn(section) {
  const counts = {};
  for (const state of STATES) {
    const digits = section.querySelector(`[data-text="${state}"]`).textContent.replace(/\D/g, "");
    if (!digits) return null;
    counts[state] = Number(digits);
  }
  return counts;
}
