// Two ways to hear from the server, asking and listening, and whether it can be reached at all.
//
// Both try again with growing pauses, and rest while nobody looks at the page: a browser has six
// connections to a server for all of its tabs, and a listening page holds one of them.

import { batch, effect, signal } from "@preact/signals-core";

const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
const PATIENCE_MS = 8_000;
const SILENCE_MS = 20_000;

/** True while the server cannot be reached. */
export const isAway = signal(false);

/** True while the page is told what happens. */
export const isListening = signal(false);

/** Return the pause after some failures in a row; it varies, so that pages do not come all at once. */
function pauseMs(failures) {
  const longest = PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1];
  return longest * (0.75 + Math.random() / 2);
}

/**
 * Ask for JSON again and again while the page does not listen, and hand over each answer, whatever
 * its status.
 *
 * @param {string} path
 * @param {{everyMs: number, onAnswer: (answer: object) => void}} options
 * @returns {() => void} asks at once
 */
export function watch(path, { everyMs, onAnswer }) {
  let failures = 0;
  let isAsking = false;
  let timer;

  async function ask() {
    clearTimeout(timer);
    if (isAsking || document.hidden || isListening.value) return;
    isAsking = true;
    try {
      const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
      onAnswer(await answer.json());
      failures = 0;
    } catch {
      // No answer, or a proxy's page in place of one.
      failures += 1;
    }
    isAsking = false;
    if (isListening.value) return; // meanwhile: what is told is newer
    isAway.value = failures > 0;
    timer = setTimeout(ask, failures ? pauseMs(failures) : everyMs);
  }

  function askLater() {
    clearTimeout(timer);
    timer = setTimeout(ask, everyMs);
  }

  whenSeen(askLater, () => clearTimeout(timer));
  addEventListener("online", () => (isListening.value ? (isAway.value = false) : ask()));
  addEventListener("offline", () => {
    isAway.value = true;
  });
  effect(() => {
    if (isListening.value) {
      clearTimeout(timer);
      failures = 0;
    } else if (!isAsking) askLater();
  });
  return ask;
}

/**
 * Listen to Server-Sent Events of some names.
 *
 * @param {string} path
 * @param {{names: string[], onEvent: (name: string, data: string) => void, onLost: () => void}} options
 */
export function listen(path, { names, onEvent, onLost }) {
  let source = null;
  let failures = 0;
  let timer;
  let silence;

  function open() {
    clearTimeout(timer);
    if (source || document.hidden) return;
    source = new EventSource(path);
    source.addEventListener("open", () => {
      failures = 0;
      batch(() => {
        isListening.value = true;
        isAway.value = false;
      });
      waitForNext();
    });
    // The browser's own way to try again knows no growing pause, and gives up at a refusal.
    source.addEventListener("error", lose);
    for (const name of names) {
      source.addEventListener(name, (event) => {
        waitForNext();
        onEvent(name, event.data);
      });
    }
  }

  function lose() {
    close();
    failures += 1;
    timer = setTimeout(open, pauseMs(failures));
    onLost();
  }

  // A connection may be gone without a word, and there is something to hear every five seconds.
  function waitForNext() {
    clearTimeout(silence);
    silence = setTimeout(lose, SILENCE_MS);
  }

  function close() {
    clearTimeout(timer);
    clearTimeout(silence);
    source?.close();
    source = null;
    isListening.value = false;
  }

  whenSeen(open, close);
  effect(() => {
    if (!isAway.value) open();
  });
}

/** Call `start` when the page comes into view again, `stop` when it leaves it. */
function whenSeen(start, stop) {
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pageshow", (event) => event.persisted && start());
  addEventListener("pagehide", stop);
}
