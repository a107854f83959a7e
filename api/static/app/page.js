// What every page has: colours, account, the banner that tells of a lost connection.

import { effect } from "@preact/signals-core";

import { startAccount } from "./account.js";
import { isAway } from "./live.js";
import { startTheme } from "./theme.js";

const news = document.getElementById("news");

/** Tell who listens to the page and does not see it. */
export function announce(sentence) {
  news.textContent = sentence;
}

/** Let each element with `data-text` below `root` show the signal of that name, once it has a value. */
export function bind(root, signals) {
  for (const element of root.querySelectorAll("[data-text]")) {
    const source = signals[element.dataset.text];
    effect(() => {
      if (source.value !== null) element.textContent = source.value;
    });
  }
}

const banner = document.getElementById("banner");
effect(() => {
  banner.firstElementChild.hidden = !isAway.value;
});
startTheme(document.getElementById("theme"));

const logOut = document.getElementById("log-out");
if (logOut) startAccount(logOut); // visitors have no account

// On a phone the ways of the console are a strip that scrolls: the page's own is in sight.
document.querySelector(".ways [aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "center" });
