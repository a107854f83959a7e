// The server's health, told by the stream, and asked for while that is away: one sentence, and a word for each component.

import { batch, computed, effect, signal } from "@preact/signals-core";

import { isAway, watch } from "./live.js";
import { announce } from "./page.js";
import { text } from "./texts.js";

const EVERY_MS = 5_000;

/** Keep the section as the server is; returns the sentence, what asks at once, and what is told. */
export function startHealth(section) {
  const states = signal(null); // null until the first answer: the page came with an older one
  const summary = signal(section.dataset.state);
  const shown = computed(() => (isAway.value ? "away" : summary.value));

  const askNow = watch("/health", {
    everyMs: EVERY_MS,
    onAnswer: ({ components }) => hear(components),
  });

  function hear(components) {
    batch(() => {
      states.value = components;
      summary.value = summaryOf(components);
    });
  }

  effect(() => {
    const sentence = text(`summary.${shown.value}`);
    if (section.dataset.state !== shown.value) announce(sentence);
    section.dataset.state = shown.value;
  });
  effect(() => {
    for (const element of section.querySelectorAll("[data-component]")) {
      const told = states.value?.[element.dataset.component] ?? element.dataset.state;
      element.dataset.state = isAway.value ? "unknown" : told;
      element.lastElementChild.textContent = text(`state.${element.dataset.state}`);
    }
  });
  return { sentence: computed(() => text(`summary.${shown.value}`)), askNow, hear };
}

/** Return one word for all: without the database nothing is served. */
function summaryOf(states) {
  if (states.database === "unhealthy") return "unhealthy";
  return Object.values(states).every((state) => state === "healthy") ? "healthy" : "degraded";
}
