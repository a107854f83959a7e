// How many wait in each kind of queue, asked for every few seconds: guests have no socket for that.

import { signal } from "@preact/signals-core";

import { isAway, watch } from "./live.js";
import { number, text } from "./texts.js";

const EVERY_MS = 5_000;
const KINDS = ["messages", "rooms", "mail", "tickets"];

/** Keep a sentence for each kind; returns a signal of each, null until there is news. */
export function startNow(section) {
  const sentences = Object.fromEntries(KINDS.map((kind) => [kind, signal(null)]));
  const askNow = watch("/api/ops/now", {
    everyMs: EVERY_MS,
    onAnswer(now) {
      for (const kind of KINDS) sentences[kind].value = sentence(kind, now[kind]);
    },
  });
  isAway.subscribe((isIt) => {
    section.dataset.live = String(!isIt);
  });
  askNow();
  return sentences;
}

function sentence(kind, numbers) {
  if (numbers) {
    const written = Object.entries(numbers).map(([name, value]) => [name, number(value)]);
    return text(`now.${kind}`, Object.fromEntries(written));
  }
  return text(kind === "mail" ? "now.mail_guest" : "now.unknown");
}
