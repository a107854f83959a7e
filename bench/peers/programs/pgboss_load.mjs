// pg-boss: a queue in PostgreSQL.
import PgBoss from "pg-boss";
import { BATCH, CLIENTS, DryError, PRODUCER_PAUSE_MS } from "./load.mjs";
import { all, main, measure, pause, payload } from "./load.mjs";

const STOCK_PER_S = 3_000;
const STOCK_MANY_PER_S = 40_000;

async function boss(address) {
  const { host, user, database } = JSON.parse(address);
  const made = new PgBoss({ host, user, database, max: CLIENTS, supervise: false, schedule: false });
  await made.start();
  await made.createQueue("q");
  return made;
}

const jobs = (count) => Array.from({ length: count }, (_, n) => ({ name: "q", data: payload(n) }));

async function enqueue(address, seconds) {
  const queue = await boss(address);
  const said = payload(1);
  const loop = async (meter) => {
    for (;;) {
      const began = performance.now();
      await queue.send("q", said);
      meter.note(performance.now() - began);
    }
  };
  return measure(all(loop), seconds);
}

async function batch(address, seconds) {
  const queue = await boss(address);
  const many = jobs(BATCH);
  const loop = async (meter) => {
    for (;;) {
      const began = performance.now();
      await queue.insert(many);
      meter.note(performance.now() - began, BATCH);
    }
  };
  return measure(all(loop), seconds);
}

const taking = (batchSize, stockPerS) => async (address, seconds) => {
  const queue = await boss(address);
  const many = jobs(1000);
  for (let put = 0; put < stockPerS * (seconds + 1); put += many.length) await queue.insert(many);
  const loop = async (meter) => {
    for (;;) {
      const began = performance.now();
      const taken = await queue.fetch("q", { batchSize });
      if (taken.length === 0) throw new DryError();
      await queue.complete("q", taken.map((job) => job.id));
      meter.note(performance.now() - began, taken.length);
    }
  };
  return measure(all(loop), seconds);
};

async function pass(address, seconds) {
  const queue = await boss(address);
  await queue.createQueue("pass");
  const sent = new Map();
  const start = async (meter) => {
    // Its workers ask twice a second at most: that is how long a message waits.
    await queue.work("pass", { pollingIntervalSeconds: 0.5, batchSize: BATCH }, async (taken) => {
      for (const job of taken) meter.note(performance.now() - sent.get(job.data.at));
    });
    for (let number = 0; ; number += 1) {
      const said = payload(number);
      sent.set(said.at, performance.now());
      await queue.send("pass", said);
      await pause(PRODUCER_PAUSE_MS);
    }
  };
  return measure(start, seconds);
}

await main({
  pass,
  enqueue,
  batch,
  receive: taking(1, STOCK_PER_S),
  batch_receive: taking(BATCH, STOCK_MANY_PER_S),
});
