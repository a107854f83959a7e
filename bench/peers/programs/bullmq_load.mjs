// BullMQ: jobs are added to a queue, and done by its own worker.
import { Queue, Worker } from "bullmq";
import { BATCH, CLIENTS, DryError, PRODUCER_PAUSE_MS, WAITING } from "./load.mjs";
import { all, main, measure, pause, payload } from "./load.mjs";

const STOCK_PER_S = 25_000;
const options = { removeOnComplete: true };
const at = (path) => ({ connection: { path, maxRetriesPerRequest: null } });

async function enqueue(path, seconds) {
  const queue = new Queue("enqueue", at(path));
  await queue.waitUntilReady();
  const said = payload(1);
  const loop = async (meter) => {
    for (;;) {
      const began = performance.now();
      await queue.add("job", said, options);
      meter.note(performance.now() - began);
    }
  };
  return measure(all(loop), seconds);
}

const jobs = (count) =>
  Array.from({ length: count }, (_, number) => ({ name: "job", data: payload(number), opts: options }));

async function batch(path, seconds) {
  const queue = new Queue("batch", at(path));
  await queue.waitUntilReady();
  const many = jobs(BATCH);
  const loop = async (meter) => {
    for (;;) {
      const began = performance.now();
      await queue.addBulk(many);
      meter.note(performance.now() - began, BATCH);
    }
  };
  return measure(all(loop), seconds);
}

async function receive(path, seconds) {
  const queue = new Queue("receive", at(path));
  const many = jobs(1000);
  for (let put = 0; put < STOCK_PER_S * (seconds + 1); put += many.length) await queue.addBulk(many);
  const start = (meter) =>
    new Promise((_, fail) => {
      const work = async () => meter.note(0);
      const worker = new Worker("receive", work, { ...at(path), concurrency: CLIENTS });
      worker.on("error", fail);
      worker.on("drained", () => fail(new DryError()));
    });
  return measure(start, seconds);
}

async function pass(path, seconds) {
  const queue = new Queue("pass", at(path));
  await queue.waitUntilReady();
  const sent = new Map();
  const start = async (meter) => {
    const work = async (job) => meter.note(performance.now() - sent.get(job.data.at));
    const worker = new Worker("pass", work, { ...at(path), concurrency: WAITING });
    await worker.waitUntilReady();
    for (let number = 0; ; number += 1) {
      const said = payload(number);
      sent.set(said.at, performance.now());
      await queue.add("job", said, options);
      await pause(PRODUCER_PAUSE_MS);
    }
  };
  return measure(start, seconds);
}

await main({ pass, enqueue, batch, receive });
