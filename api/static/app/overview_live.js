// What the overview hears: by Socket.IO, and only while that is down by asking, seldom.

import { io } from "socket.io-client";

import { Refusal, ask } from "./ask.js";
import { isAway } from "./live.js";
import { oneAtATime } from "./looks.js";

const ASK_EVERY_MS = 15_000;
const LONGEST_PAUSE_MS = 15_000;

/** Listen while the page is looked at. */
export function startLive({ onOverview, onHour, onMinutes }) {
  const socket = io("/ops", { reconnectionDelayMax: LONGEST_PAUSE_MS });
  let timer;

  const look = oneAtATime(async () => {
    clearTimeout(timer);
    if (socket.connected || document.hidden) return;
    timer = setTimeout(look, ASK_EVERY_MS);
    try {
      const [overview, hour] = await Promise.all([
        ask("GET", "/api/ops/overview"),
        ask("GET", "/api/ops/hour"),
      ]);
      isAway.value = false;
      onOverview(overview);
      onHour(hour);
    } catch (error) {
      // The session is over, or the role has changed: the page itself says which.
      if (error instanceof Refusal && (error.status === 401 || error.status === 403)) location.reload();
      isAway.value = true;
    }
  });

  socket.on("connect", () => {
    clearTimeout(timer);
    isAway.value = false;
  });
  socket.on("disconnect", look);
  socket.on("connect_error", look);
  socket.on("overview", onOverview);
  socket.on("hour", onHour);
  socket.on("minute", onMinutes);

  document.addEventListener("visibilitychange", () => (document.hidden ? socket.disconnect() : socket.connect()));
  addEventListener("pagehide", () => socket.disconnect());
  addEventListener("pageshow", (event) => event.persisted && socket.connect());
  addEventListener("online", look);
  addEventListener("offline", () => {
    isAway.value = true;
  });
}
