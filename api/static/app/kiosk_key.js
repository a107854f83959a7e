// The key of a kiosk: shown once in the address, behind `#key=`, which no server and no log sees.

import { signal } from "@preact/signals";

import { html } from "./html.js";
import { text } from "./texts.js";

const KEPT = "stanchion_kiosk_key";
const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given !== null) {
  if (given) localStorage.setItem(KEPT, given);
  else localStorage.removeItem(KEPT);
  history.replaceState(null, "", location.pathname + location.search); // nobody reads it off the screen
}
const state = signal(null); // is_registered, is_refused

/** What is sent so that this kiosk is known. */
export const shown = localStorage.getItem(KEPT) ? { "X-API-KEY": localStorage.getItem(KEPT) } : {};

/** Find out whether the key still holds: who is not counted is told of no limit. */
export async function checkKey() {
  if (!shown["X-API-KEY"]) return;
  const answer = await fetch("/app/tickets/waiting?limit=1", { headers: shown });
  if (answer.status >= 500) return; // nobody knows
  state.value = answer.headers.has("X-RateLimit-Limit") ? "is_refused" : "is_registered";
}

/** A line for who looks after the kiosk. */
export function KeyState() {
  if (!state.value) return null;
  return html`<p class="key" data-state=${state.value}>${text(`kiosk.${state.value}`)}</p>`;
}
