// Markup in JavaScript: html`<p>${text}</p>` is Preact's h("p", null, text), without a build step.

import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
