// What happened in each second of the last two minutes, or since the page began to listen.

export const SECONDS = 120;

/** Counts by the second; the last place is the second that is under way. */
export class Activity {
  #nowS;
  #sinceS;

  constructor() {
    this.restart();
  }

  /** Forget everything: what happened meanwhile was not heard. */
  restart() {
    this.#sinceS = this.#nowS = Math.floor(Date.now() / 1000);
    this.arrived = new Array(SECONDS).fill(0);
    this.done = new Array(SECONDS).fill(0);
  }

  /** Drop the seconds that are over two minutes old. */
  advance() {
    const nowS = Math.floor(Date.now() / 1000);
    const passed = Math.min(Math.max(nowS - this.#nowS, 0), SECONDS);
    if (passed === 0) return;
    for (const counts of [this.arrived, this.done]) {
      counts.splice(0, passed);
      counts.push(...new Array(passed).fill(0));
    }
    this.#nowS = nowS;
  }

  /** Count one event of the stream, now. */
  add(name) {
    this.advance();
    if (name === "enqueue") this.arrived[SECONDS - 1] += 1;
    if (name === "ack") this.done[SECONDS - 1] += 1;
  }

  /** Return the sums, and of how many seconds they are. */
  totals() {
    const sum = (counts) => counts.reduce((total, count) => total + count, 0);
    const seconds = Math.min(this.#nowS - this.#sinceS + 1, SECONDS);
    return { arrived: sum(this.arrived), done: sum(this.done), seconds };
  }
}
