// What happens at one counter or at all of them, by Socket.IO at `/ws/queue`.
//
// The library goes on by itself after a lost connection, and the server says what was missed.

import { io } from "socket.io-client";

import { isAway } from "./live.js";

const EVENTS = ["ticket-created", "ticket-updated", "counter-status-changed", "queue-announcement"];
const PATIENCE_MS = 8_000;

/**
 * Follow a counter.
 *
 * @param {number} counterId
 * @param {{onState: (list: object) => void, onChange: (name: string, data: object) => void}} told
 * @returns {{state: () => Promise<object>, close: () => void}}
 */
export function followCounter(counterId, told) {
  return follow({ counter_id: counterId }, told, ["subscribe-counter", { counter_id: counterId }]);
}

/** Follow all counters; as `followCounter`. */
export function followHall(told) {
  return follow({}, told, ["unsubscribe-counter", {}]);
}

function follow(query, { onState, onChange }, question) {
  const socket = io("/ws/queue", { query, reconnectionDelayMax: 15_000 });
  socket.on("connect", () => {
    isAway.value = false;
  });
  socket.on("disconnect", () => {
    isAway.value = true;
  });
  socket.on("connect_error", () => {
    isAway.value = true;
  });
  socket.on("initial-queue-state", onState);
  for (const name of EVENTS) socket.on(name, (data) => onChange(name, data));
  addEventListener("offline", () => {
    isAway.value = true;
  });

  return {
    /** Ask how it is now; raises when nobody answers. */
    state: () => socket.timeout(PATIENCE_MS).emitWithAck(...question),
    close: () => socket.close(),
  };
}
