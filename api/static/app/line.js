// A visitor's line: what the server says of the place, and the signs of life that keep it.
//
// A WebSocket tells of each step and carries the signs of life; without one the page asks. Either way
// the page's own address (`/wait/…`) says what to show, so there is one truth about where to go.

import { signal } from "@preact/signals-core";

import { startClock } from "./clock.js";
import { isAway } from "./live.js";

const LOOK_EVERY_S = 20;
const PATIENCE_MS = 8_000;
const PAUSES_S = [2, 4, 8, 15];
const HOLDING = new Set(["waiting", "paused", "early", "maintenance", "closed", "failing"]);
const RETRYING = new Set(["joining", "full", "limited", "uninvited"]);

const STATES = { paused: "paused", maintenance: "maintenance", closed: "closed" };

/** What a place is in by what the room does, while nothing else is known of it. */
function stateOf(status, view) {
  if (status === undefined) return view.state === "failing" ? "waiting" : view.state;
  return STATES[status] ?? (view.opens_in_seconds === null ? "waiting" : "early");
}

function rangeOf(estimate) {
  return { low_seconds: estimate?.low_seconds ?? null, high_seconds: estimate?.high_seconds ?? null };
}

export class Line {
  /** `address` is the page's own path and query, `first` what the server put into it. */
  constructor(address, first) {
    this.view = signal(first);
    /** Seconds until the room opens, moved by the clock. */
    this.opensInS = signal(first.opens_in_seconds);
    this.address = address;
    this.api = `/api/v1/queues/${encodeURIComponent(first.queue_id)}`;
    this.now = 0; // seconds of this page's clock
    this.seenAt = 0;
    this.lookAt = LOOK_EVERY_S;
    this.beatAt = 0;
    this.failures = 0;
    this.isAsking = false;
    this.socket = null;
    this.socketAt = 0;
    this.socketFailures = 0;
  }

  /** Begin; a token from a link takes its place over. */
  start(linkToken) {
    this.started = performance.now();
    startClock({ onTick: () => this.tick(), onWake: () => this.wake() });
    addEventListener("offline", () => {
      isAway.value = true;
    });
    // Also when the browser keeps the page to come back to: it shows no sign of life meanwhile.
    addEventListener("pagehide", () => this.fade());
    if (linkToken) this.join(linkToken);
    else if (this.view.value.state === "joining") this.join();
    else this.follow();
  }

  // What goes on ---------------------------------------------------------------------------------

  tick() {
    this.now = (performance.now() - this.started) / 1_000;
    this.countDown();
    if (this.now >= this.lookAt) {
      if (RETRYING.has(this.view.value.state)) this.join();
      else this.look();
    }
    if (!this.holds()) return;
    if (this.now >= this.beatAt) this.beat();
    if (!this.socket && this.now >= this.socketAt) this.listen();
  }

  /** The page slept or was away: nothing it knows is certain. */
  wake() {
    this.lookAt = this.beatAt = this.socketAt = 0;
    this.tick();
  }

  holds() {
    return Boolean(this.view.value.token) && HOLDING.has(this.view.value.state);
  }

  countDown() {
    const leftS = this.view.value.opens_in_seconds;
    if (leftS === null) return;
    const nowS = Math.max(0, Math.ceil(leftS - (this.now - this.seenAt)));
    if (nowS === 0 && this.opensInS.value > 0) this.lookAt = 0;
    this.opensInS.value = nowS;
  }

  // Asking ---------------------------------------------------------------------------------------

  /** Take a place, or the one that this browser or a link's token holds. */
  join(token) {
    return this.ask("POST", this.address, token);
  }

  look() {
    return this.ask("GET", this.address, this.view.value.token);
  }

  /** Give the place up. */
  leave() {
    return this.ask("POST", `/wait/${encodeURIComponent(this.view.value.queue_id)}/leave`);
  }

  async ask(method, address, token) {
    if (this.isAsking) return;
    this.isAsking = true;
    this.lookAt = Infinity;
    try {
      const headers = { Accept: "application/json" };
      if (token) headers.Authorization = `Bearer ${token}`;
      const options = { method, headers, signal: AbortSignal.timeout(PATIENCE_MS) };
      await this.understand(await fetch(address, options));
      isAway.value = false;
    } catch {
      // No answer, or a proxy's page in place of one.
      this.pause();
      isAway.value = true;
    }
    this.isAsking = false;
  }

  async understand(answer) {
    if (answer.ok) {
      this.failures = 0;
      this.show(await answer.json());
      return;
    }
    const waitS = Number(answer.headers.get("Retry-After"));
    this.pause(waitS);
    const state = answer.status === 429 ? "limited" : answer.status === 404 ? "missing" : "failing";
    // Who has a place waits on, and is not told of each hitch.
    if (!this.holds() || state === "failing") this.view.value = { ...this.view.value, state };
  }

  pause(leastS = 0) {
    this.failures += 1;
    const longestS = PAUSES_S[Math.min(this.failures, PAUSES_S.length) - 1];
    // It varies, so that pages do not come all at once.
    this.lookAt = this.now + Math.max(leastS, longestS) * (0.75 + Math.random() / 2);
  }

  show(view) {
    this.seenAt = this.now;
    this.lookAt = this.now + (view.retry_after_seconds ?? LOOK_EVERY_S) * (0.9 + Math.random() / 5);
    this.view.value = view;
    this.opensInS.value = view.opens_in_seconds;
    this.follow();
  }

  /** Do what the state asks for beside showing it. */
  follow() {
    if (this.view.value.state === "admitted" && this.view.value.redirect_url) {
      this.close();
      location.replace(this.view.value.redirect_url);
    } else if (!this.holds()) {
      this.close();
    } else if (this.beatAt === 0) {
      this.beat();
    }
  }

  // Signs of life --------------------------------------------------------------------------------

  async beat() {
    const { token, heartbeat_interval_seconds: everyS } = this.view.value;
    this.beatAt = this.now + everyS;
    if (this.socket?.readyState === WebSocket.OPEN && this.socket.isHeard) {
      this.socket.send(JSON.stringify({ type: "heartbeat", data: { timestamp: Date.now() } }));
      return;
    }
    try {
      const answer = await fetch(`${this.api}/heartbeat`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        body: JSON.stringify({ timestamp: Date.now() }),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (answer.ok) this.step(await answer.json());
      else if (answer.status === 429) this.beatAt = this.now + 2 * everyS;
      else if (answer.status < 500) this.look(); // it is over, and the page knows why
      if (answer.ok) isAway.value = false;
    } catch {
      this.beatAt = this.now + PAUSES_S[0];
      isAway.value = true;
    }
  }

  /** The page goes away, maybe to be loaded again: the place is lost sooner if it is not. */
  fade() {
    if (!this.holds()) return;
    const body = JSON.stringify({ token: this.view.value.token, event: "page_unload" });
    navigator.sendBeacon(`${this.api}/heartbeat`, body);
  }

  // Listening ------------------------------------------------------------------------------------

  listen() {
    const { queue_id: id, token } = this.view.value;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const path = `/ws/queues/${encodeURIComponent(id)}`;
    const socket = new WebSocket(`${scheme}//${location.host}${path}`);
    this.socket = socket;
    socket.addEventListener("open", () =>
      socket.send(JSON.stringify({ type: "auth", data: { token } })),
    );
    socket.addEventListener("message", (event) => {
      socket.isHeard = true;
      this.socketFailures = 0;
      this.hear(JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.socketFailures += 1;
      const pauseS = Math.min(60, 2 ** this.socketFailures);
      this.socketAt = this.now + pauseS * (0.75 + Math.random() / 2);
    });
  }

  hear({ type, data }) {
    if (type === "position_update") {
      isAway.value = false;
      this.step(data);
    } else if (type === "admitted" || type === "expired") this.look();
  }

  /** Somebody ahead is gone, or time went on. */
  step(told) {
    const view = this.view.value;
    if (told.status && told.status !== "waiting") {
      this.look();
      return;
    }
    this.view.value = {
      ...view,
      state: stateOf(told.queue_status, view),
      position: told.position ?? view.position,
      queue_length: told.queue_length ?? view.queue_length,
      token: told.token ?? view.token,
      ...(told.estimate === undefined ? {} : rangeOf(told.estimate)),
    };
  }

  close() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
