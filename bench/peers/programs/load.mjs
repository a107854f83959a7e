// What the Node programs of peers share: workers side by side, counted after a warm-up.
// `node program.mjs ROW SECONDS ADDRESS` prints one line of JSON; `dry` says it ran out of work.

export const CLIENTS = 64;
export const BATCH = 100;
export const PRODUCER_PAUSE_MS = 10;
export const WAITING = 4;
const WARM_UP_MS = 500;

export class DryError extends Error {}

export class Meter {
  constructor() {
    this.reset();
  }
  reset() {
    this.count = 0;
    this.times = [];
  }
  note(ms, count = 1) {
    this.count += count;
    this.times.push(ms);
  }
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// A message of 256 bytes as JSON.
export function payload(number) {
  const empty = JSON.stringify({ data: "", at: 0 }).length + 8;
  return { data: "x".repeat(256 - empty), at: number + 1e8 };
}

// `start` begins the workers with a meter and returns a promise that fails when they do.
export async function measure(start, seconds) {
  const meter = new Meter();
  const failed = Promise.resolve(start(meter)).then(() => new Promise(() => {}));
  failed.catch(() => {});
  await Promise.race([pause(WARM_UP_MS), failed]);
  meter.reset();
  const began = performance.now();
  const cpu = process.cpuUsage();
  await Promise.race([pause(seconds * 1000), failed]);
  const spent = (performance.now() - began) / 1000;
  const used = process.cpuUsage(cpu);
  if (meter.count === 0) throw new Error("nothing was finished in the time that was measured");
  const times = meter.times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return {
    per_s: meter.count / spent,
    p50_ms: at(0.5),
    p99_ms: at(0.99),
    cpu_share: (used.user + used.system) / 1e6 / spent,
  };
}

// As many loops side by side as there are clients.
export const all = (loop, count = CLIENTS) => (meter) =>
  Promise.all(Array.from({ length: count }, () => loop(meter)));

export async function main(rows) {
  const [row, seconds, address] = process.argv.slice(2);
  try {
    console.log(JSON.stringify(await rows[row](address, Number(seconds))));
  } catch (error) {
    if (!(error instanceof DryError)) throw error;
    console.log(JSON.stringify({ dry: true }));
  }
  process.exit(0);
}
