// How many wait in each kind of queue, told by the stream, and asked for while that is away.

import { signal } from "@preact/signals-core";

import { isAway, watch } from "./live.js";
import { number, text } from "./texts.js";

const EVERY_MS = 5_000;
const KINDS = ["messages", "rooms", "mail", "tickets"];

/** Keep a sentence for each kind; returns a signal of each, null until there is news, and `hear`. */
export function startNow(section) {
  const sentences = Object.fromEntries(KINDS.map((kind) => [kind, signal(null)]));
  function hear(now) {
    for (const kind of KINDS) sentences[kind].value = sentence(kind, now[kind]);
  }

  watch("/api/ops/now", { everyMs: EVERY_MS, onAnswer: hear });
  isAway.subscribe((isIt) => {
    section.dataset.live = String(!isIt);
  });
  return { sentences, hear };
}

function sentence(kind, numbers) {
  if (numbers) {
    const written = Object.entries(numbers).map(([name, value]) => [name, number(value)]);
    return text(`now.${kind}`, Object.fromEntries(written));
  }
  return text(kind === "mail" ? "now.mail_guest" : "now.unknown");
}
