// The start page: what runs here, and what it does at this moment.

import { effect, signal } from "@preact/signals-core";

import { Activity } from "./activity.js";
import { startCopying } from "./copy.js";
import { startHealth } from "./health.js";
import { isAway, isListening } from "./live.js";
import { startMessages } from "./messages.js";
import { startNow } from "./now.js";
import { bind } from "./page.js";
import { duration, locale, number, text } from "./texts.js";

const DRAW_EVERY_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 5_000 : 1_000;

const health = startHealth(document.getElementById("health"));
const activity = new Activity();
const messages = document.getElementById("messages");
const kinds = startNow(document.getElementById("kinds"));
const beside = { health: health.hear, now: kinds.hear };
const counts = startMessages(messages, { activity, beside, onLost: health.askNow });

// The line below the chart: what it shows, or why it shows nothing new.
const caption = signal(null);
const lostAt = signal(null);

function tell() {
  if (lostAt.value && !isListening.value) return text("activity.stale", { time: lostAt.value });
  if (!isListening.value) return text("activity.loading");
  const { arrived, done, seconds } = activity.totals();
  if (!arrived && !done) return text("activity.quiet");
  const time = duration(seconds);
  return text("activity.seen", { time, in: number(arrived), done: number(done) });
}

effect(() => {
  if (isListening.value) activity.restart();
});
effect(() => {
  if (isAway.value) lostAt.value ??= new Date().toLocaleTimeString(locale);
  if (isListening.value) lostAt.value = null;
  messages.dataset.live = String(isListening.value || !lostAt.value);
  caption.value = tell();
});

bind(document, { summary: health.sentence, activity: caption, ...counts, ...kinds.sentences });
startCopying(document);

// The chart is the heaviest part and the last to be missed.
const { startChart } = await import("./chart.js");
const draw = startChart(document.getElementById("chart"));
setInterval(() => {
  if (document.hidden) return;
  activity.advance();
  draw(activity);
  caption.value = tell();
}, DRAW_EVERY_MS);
