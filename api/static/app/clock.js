// Ticks once a second, in view or not.

const WORKER = "/static/app/clock_worker.js";

/** Call `onTick` each second, and at once when the page wakes up or comes online. */
export function startClock({ onTick, onWake }) {
  try {
    const worker = new Worker(trusted(WORKER));
    worker.addEventListener("message", onTick);
    worker.addEventListener("error", () => setInterval(onTick, 1_000), { once: true });
  } catch {
    setInterval(onTick, 1_000);
  }
  document.addEventListener("visibilitychange", () => document.hidden || onWake());
  addEventListener("pageshow", (event) => event.persisted && onWake());
  addEventListener("online", onWake);
}

/** Return an address as the page's policy wants it for code; this is the only one there is. */
function trusted(address) {
  if (!globalThis.trustedTypes) return address;
  const policy = trustedTypes.createPolicy("clock", { createScriptURL: () => address });
  return policy.createScriptURL("");
}
