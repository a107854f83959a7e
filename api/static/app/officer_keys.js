// One key for each act, while nothing is being written; who has no use for them switches them off.

import { effect, signal } from "@preact/signals-core";

const KEPT = "stanchion_officer_keys";

/** Do `acts[key]` when a key is pressed; returns whether keys are heeded, to be switched. */
export function startKeys(acts) {
  const isOn = signal(localStorage.getItem(KEPT) !== "off");
  effect(() => localStorage.setItem(KEPT, isOn.value ? "on" : "off"));
  addEventListener("keydown", (event) => {
    if (!isOn.value || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    const act = acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
  return isOn;
}
