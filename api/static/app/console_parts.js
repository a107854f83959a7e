// What the console's pages share: looking again and again, acting, what was refused, tables, asking back.

import { signal } from "@preact/signals";
import { effect } from "@preact/signals-core";
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { io } from "socket.io-client";

import { Refusal } from "./ask.js";
import { html } from "./html.js";
import { isAway } from "./live.js";
import { oneAtATime } from "./looks.js";
import "./page.js";
import { locale, text } from "./texts.js";

const GATHER_MS = 1_000; // of a busy server every event would be a look

/** The role of who is logged in. The server decides; pages only leave out what it would refuse. */
export const role = document.querySelector(".console").dataset.role;

const told = signal(null); // {kind, sentence, link?}
const isBusy = signal(false);
const dialogs = signal(0); // that are open: what is said is said in the last one, as it covers the page
let look = async () => {};

/** Show a page, and keep what it shows up to date; the server says whom it is for. */
export function open(Board, { lookNow, everyMs }) {
  const section = document.getElementById("page");
  if (section.hidden) return false;
  let timer;
  look = oneAtATime(async () => {
    clearTimeout(timer);
    timer = setTimeout(look, everyMs);
    if (document.hidden) return;
    try {
      await lookNow();
      isAway.value = false;
    } catch (error) {
      explain(error);
    }
  });
  effect(() => {
    section.dataset.live = String(!isAway.value);
    section.ariaBusy = String(isBusy.value);
  });
  document.addEventListener("visibilitychange", look);
  addEventListener("online", look);
  addEventListener("offline", () => {
    isAway.value = true;
  });
  const board = document.getElementById("board");
  board.replaceChildren();
  render(html`<${Told} /><${Board} />`, board);
  look();
  return true;
}

/** Look anew, now. */
export const lookAgain = () => look();

let soon = null;
/** Look anew once, for all that happens within a second. */
export function lookSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    look();
  }, GATHER_MS);
}

/** Do one thing at a time, then look; returns what it returned, or undefined where it was refused. */
export async function act(what) {
  if (isBusy.value) return undefined;
  isBusy.value = true;
  told.value = null;
  try {
    return await what();
  } catch (error) {
    explain(error);
    return undefined;
  } finally {
    isBusy.value = false;
    look();
  }
}

/** Say that something was done. */
export function say(sentence) {
  told.value = { kind: "done", sentence };
}

/** Say why something was not done, or cannot be shown. */
export function explain(error) {
  const refuse = (sentence, link) => {
    told.value = { kind: "refusal", sentence, link };
  };
  if (!(error instanceof Refusal)) {
    isAway.value = true; // the banner tells
    if (isBusy.value) refuse(text("refusal.away"));
  } else if (error.status === 401) {
    refuse(text("refusal.session"), `/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  } else if (error.status === 403) refuse(text("board.forbidden"));
  else if (error.status === 429) refuse(text("refusal.limited", { seconds: error.retryAfterS }));
  else if (error.status >= 500) refuse([text("refusal.failing"), error.reason].filter(Boolean).join(" "));
  else refuse(error.message);
}

function Told({ within = 0 }) {
  if (within !== dialogs.value) return null;
  const { kind, sentence, link } = told.value ?? {};
  return html`<div class="told" role="alert">
    ${sentence &&
    html`<p class=${kind === "refusal" ? "notice refusal" : "notice"}>
      ${sentence} ${link && html`<a href=${link}>${text("officer.log_in")}</a>`}
    </p>`}
  </div>`;
}

/** A table that scrolls by itself; the words of its head, `n:` before those of a column of numbers. */
export function Table({ label, heads, children }) {
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${label}>
    <table>
      <thead>
        <tr>
          ${heads.map((head) => {
            const isNumber = head.startsWith("n:");
            return html`<th key=${head} scope="col" class=${isNumber ? "n" : null}>${isNumber ? head.slice(2) : head}</th>`;
          })}
        </tr>
      </thead>
      <tbody>
        ${children}
      </tbody>
    </table>
  </div>`;
}

/** A dialog over the page; Escape and its last button close it. */
export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  const [depth] = useState(() => dialogs.value + 1);
  useEffect(() => {
    dialogs.value += 1;
    told.value = null; // it was said of something else
    element.current.showModal();
    return () => (dialogs.value -= 1);
  }, []);
  return html`<dialog ref=${element} aria-labelledby="dialog-title" onClose=${onClose}>
    <h2 id="dialog-title">${title}</h2>
    <${Told} within=${depth} />
    ${children}
    <button type="button" class="copy" onClick=${() => element.current.close()}>${text("board.close")}</button>
  </dialog>`;
}

/** Ask back before something that cannot be taken back; `onYes` does it, and who asked is where they were. */
export function Asking({ title, yes, onYes, onClose, children }) {
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${children}
    <p class="acts">
      <button type="button" class="main" onClick=${(event) => (onYes(), event.currentTarget.closest("dialog").close())}>${yes}</button>
    </p>
  <//>`;
}

/** Write a moment as the page's readers do. */
export const moment = (iso) =>
  iso ? new Date(iso).toLocaleString(locale, { dateStyle: "short", timeStyle: "medium" }) : "–";

/** Follow the events of a namespace of Socket.IO; `onEvent` gets name and data. */
export function follow(namespace, names, onEvent) {
  const socket = io(namespace, { reconnectionDelayMax: 15_000 });
  socket.on("connect", look);
  socket.on("disconnect", () => {
    isAway.value = true;
  });
  socket.on("connect_error", look); // a refusal is no lost connection: a look tells which it is
  for (const name of names) socket.on(name, (data) => onEvent(name, data));
  return socket;
}
