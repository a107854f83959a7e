// Commands to copy, with the address that this page was reached by.

import { announce } from "./page.js";
import { text } from "./texts.js";

const SHOWN_MS = 2_000;

/** Make every command below `root` copyable. */
export function startCopying(root) {
  // Behind a proxy the server may not know under which name, or that it is reached by TLS.
  for (const element of root.querySelectorAll("[data-origin]")) {
    element.textContent = location.origin;
  }
  for (const command of root.querySelectorAll(".command")) {
    const button = command.querySelector("button");
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copy(command.querySelector("code"));
      const told = text(done ? "copy.done" : "copy.failed");
      button.textContent = told;
      announce(told);
      setTimeout(() => {
        button.textContent = label;
      }, SHOWN_MS);
    });
  }
}

async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    // Over plain HTTP to another machine there is no clipboard; what is marked can be copied by hand.
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  }
}
