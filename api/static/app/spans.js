// Lengths of time as the server writes them into the page, so that nothing changes when scripts start.

import { number, text } from "./texts.js";

const MINUTE_S = 60;
const HOUR_S = 3_600;
const VAGUE = 6; // beyond an hour nobody can plan by a range that reaches so many times its beginning

/** Write a length of time in one unit, hours with their minutes. */
export function span(seconds) {
  if (seconds < MINUTE_S) return text("span.seconds", { n: number(seconds) });
  const minutes = Math.round(seconds / MINUTE_S);
  if (minutes < 60) return text("span.minutes", { n: number(minutes) });
  const h = number(Math.floor(minutes / 60));
  return minutes % 60 ? text("span.mixed", { h, n: minutes % 60 }) : text("span.hours", { h });
}

/** Write an estimate and how far it may be off; no range that looks more exact than it is. */
export function range(low, high) {
  if (low === null || high === null) return text("span.unknown");
  if (high < MINUTE_S) return text("span.short");
  if (high > HOUR_S && high > VAGUE * low) return text("span.unknown");
  const step = high < HOUR_S ? MINUTE_S : 10 * MINUTE_S;
  const [from, to] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  if (from === 0) return text("span.up", { high: span(to) });
  if (from === to) return text("span.about", { high: span(to) });
  return text("span.range", { low: span(from), high: span(to) });
}

/** Write what is left until a moment, to the second. */
export function countdown(seconds) {
  const parts = [Math.floor(seconds / HOUR_S), Math.floor(seconds / MINUTE_S) % 60, seconds % 60];
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}
