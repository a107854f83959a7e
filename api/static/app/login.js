// The log-in form: says clearly what became of an attempt, and goes where the reader wanted to go.

import { signal } from "@preact/signals";
import { render } from "preact";

import { html } from "./html.js";
import "./page.js";
import { duration, text } from "./texts.js";

const form = document.getElementById("login");
const submit = form.querySelector("[type=submit]");
const label = submit.textContent;

// The notice ------------------------------------------------------------------------------------

/** What the reader is told: a sentence, and whether it is a refusal. */
const notice = signal(null);

function Notice() {
  if (!notice.value) return null;
  return html`<p class=${`notice ${notice.value.kind}`}>${notice.value.sentence}</p>`;
}

render(html`<${Notice} />`, document.getElementById("notice"));

function refuse(sentence) {
  notice.value = { kind: "refusal", sentence };
}

// Sending ---------------------------------------------------------------------------------------

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (submit.getAttribute("aria-disabled") === "true") return;
  hold(text("login.sending"));
  notice.value = null;
  let answer;
  try {
    answer = await fetch(form.action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ username: form.username.value, password: form.password.value }),
    });
  } catch {
    refuse(text("login.away"));
    release();
    return;
  }
  if (answer.ok) location.replace(nextAddress());
  else explain(answer);
});

/** Tell why an attempt failed, and put the cursor where the next one starts. */
function explain(answer) {
  const waitS = Number(answer.headers.get("Retry-After"));
  if (answer.status === 429 && waitS > 0) {
    wait(waitS);
    return;
  }
  const keys = { 400: "login.wrong", 401: "login.wrong", 403: "login.refused" };
  refuse(text(keys[answer.status] ?? "login.failed"));
  release();
  form.password.focus();
  form.password.select();
}

/** Count down on the button: the sentence stays as it is, so that it is read out once. */
function wait(waitS) {
  refuse(text("login.locked", { time: duration(waitS) }));
  const untilMs = Date.now() + waitS * 1000;
  (function count() {
    const leftS = Math.ceil((untilMs - Date.now()) / 1000);
    if (leftS > 0) {
      hold(`${Math.floor(leftS / 60)}:${String(leftS % 60).padStart(2, "0")}`);
      setTimeout(count, 250);
    } else {
      notice.value = { kind: "relief", sentence: text("login.again") };
      release();
    }
  })();
}

function hold(reason) {
  // Not `disabled`, which would take the focus away from who uses the keyboard.
  submit.setAttribute("aria-disabled", "true");
  submit.textContent = reason;
}

function release() {
  submit.removeAttribute("aria-disabled");
  submit.textContent = label;
}

/** Return where to go: the server let only its own paths through, and so does this. */
function nextAddress() {
  const next = new URL(form.dataset.next, location.origin);
  return next.origin === location.origin ? next.href : "/";
}

// The password, shown or not --------------------------------------------------------------------

const show = document.getElementById("show");
show.hidden = false;
show.addEventListener("click", () => {
  const isShown = form.password.type === "text";
  form.password.type = isShown ? "password" : "text";
  show.textContent = text(isShown ? "login.show" : "login.hide");
});
