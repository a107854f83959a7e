// The official client, driven by tests/live/clients.py: commands come on stdin and what happens
// goes to stdout, one JSON value to a line.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, options] = process.argv.slice(2);
const socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, ...JSON.parse(options) });
const tell = (...what) => process.stdout.write(JSON.stringify(what) + "\n");

socket.on("connect", () => tell("connect", socket.recovered, socket.io.engine.transport.name));
socket.on("connect_error", (error) => tell("connect_error", error.message, error.data ?? null));
socket.on("disconnect", (reason) => tell("disconnect", reason));
socket.onAny((name, ...args) => tell("event", name, ...args));
socket.io.on("open", () => socket.io.engine.on("upgrade", (transport) => tell("upgrade", transport.name)));

const commands = {
  emit: (name, data) => socket.emit(name, data, (answer) => tell("answer", answer)),
  lose: () => socket.io.engine.close(), // as if the network went away
  connect: () => socket.connect(),
  disconnect: () => socket.disconnect(),
};
createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, ...args] = JSON.parse(line);
  commands[name](...args);
}).on("close", () => process.exit(0));
