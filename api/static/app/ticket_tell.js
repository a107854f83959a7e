// "Tell me when I am third": a sound, a shake, and a notification where the browser allows one.

import { signal } from "@preact/signals";

import { html } from "./html.js";
import { text } from "./texts.js";

const KEPT = "stanchion_tell_";
const WORKER = "/static/app/ticket_worker.js";
const SHAKE_MS = [300, 150, 300, 150, 600];
const NOTES_HZ = [659, 523];

export const isTelling = signal(false);
const permission = signal(globalThis.Notification?.permission ?? "none");
let sound = null;
let worker = null;

/** Say something so that it is heard: what the phone can do and was allowed to. */
export function ring(sentence, { isCall = false } = {}) {
  navigator.vibrate?.(SHAKE_MS);
  chime(isCall ? 3 : 1);
  if (!isTelling.value || permission.value !== "granted") return;
  worker?.then((registration) =>
    registration?.showNotification(sentence, { tag: "stanchion-ticket", renotify: true, icon: "/static/icon.svg" }),
  );
}

function chime(times) {
  if (!sound) return; // no browser sounds before it was touched
  for (let turn = 0; turn < times; turn += 1) {
    NOTES_HZ.forEach((frequency, i) => {
      const at = sound.currentTime + turn * 1.2 + i * 0.4;
      const [tone, level] = [sound.createOscillator(), sound.createGain()];
      tone.frequency.value = frequency;
      level.gain.setValueAtTime(0.3, at);
      level.gain.exponentialRampToValueAtTime(0.001, at + 0.6);
      tone.connect(level).connect(sound.destination);
      tone.start(at);
      tone.stop(at + 0.6);
    });
  }
}

async function begin(id) {
  isTelling.value = true;
  sessionStorage.setItem(KEPT + id, "on");
  sound ??= new AudioContext();
  sound.resume();
  chime(1); // so that it is known how it sounds
  if (!globalThis.Notification) return;
  permission.value = await Notification.requestPermission();
  if (permission.value === "granted") register();
}

/** Phones show notifications by a worker only; it does nothing else. */
function register() {
  worker ??= navigator.serviceWorker?.register(trusted(WORKER)).catch(() => null);
}

function trusted(address) {
  if (!globalThis.trustedTypes) return address;
  const policy = trustedTypes.createPolicy("ticket", { createScriptURL: () => address });
  return policy.createScriptURL("");
}

function end(id) {
  isTelling.value = false;
  sessionStorage.removeItem(KEPT + id);
}

/** The button, and what it can and cannot do on this phone. */
export function Tell({ id }) {
  if (!isTelling.value && sessionStorage.getItem(KEPT + id)) {
    isTelling.value = true; // loaded anew; the sound comes back with the next touch
    if (permission.value === "granted") register();
  }
  const isOn = isTelling.value;
  const can = { granted: "granted", denied: "denied", none: "none", default: isOn ? "denied" : "ask" };
  return html`
    <div class="tell">
      <button
        type="button"
        class=${isOn ? "copy" : "main"}
        aria-pressed=${isOn}
        aria-describedby="tell-note"
        onClick=${() => (isOn ? end(id) : begin(id))}
      >
        ${text(isOn ? "tell.stop" : "tell.start")}
      </button>
      <p id="tell-note">${text(isOn ? `tell.on_${can[permission.value]}` : `tell.off_${can[permission.value]}`)}</p>
    </div>
  `;
}
