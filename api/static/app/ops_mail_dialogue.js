// What Exim and a receiver say to each other while a message is delivered or sent back, line by line.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

import { ask } from "./ask.js";
import { explain } from "./console_parts.js";
import { html } from "./html.js";
import { text } from "./texts.js";

const last = signal(null);

/** Take a piece that Socket.IO told. */
export function hear(piece) {
  last.value = piece;
}

/** Lines by their numbers: pieces may overtake one another, and one may be told twice. */
function join(known, piece) {
  const isNew = known.operation !== piece.operation_id;
  const lines = isNew ? [] : [...known.lines];
  piece.lines.forEach((line, index) => (lines[piece.first + index] = line));
  return { operation: piece.operation_id, lines, isOver: piece.is_over || (!isNew && known.isOver) };
}

/** The last dialogue of a message; `onOver` is called when one that goes on ends. */
export function Dialogue({ host, id, onOver }) {
  const [talk, setTalk] = useState({ operation: null, lines: [], isOver: true });
  useEffect(() => {
    ask("GET", `/api/v1/messages/${id}/dialogue?host=${encodeURIComponent(host)}`)
      .then(({ data }) => {
        if (!data.operation_id) return;
        const piece = { ...data, first: 0 };
        setTalk((known) => (known.operation && known.operation !== data.operation_id ? known : join(known, piece)));
      })
      .catch(explain);
    return last.subscribe((piece) => {
      if (piece?.message_id !== id || piece.host !== host) return;
      setTalk((known) => join(known, piece));
      if (piece.is_over) onOver();
    });
  }, [host, id]);
  if (!talk.operation) return null;
  return html`
    <h3>${text("mail.dialogue")}</h3>
    <pre class="dialogue" role="log" tabindex="0" aria-label=${text("mail.dialogue")} data-over=${String(talk.isOver)}>${talk.lines.join("\n")}</pre>
    <p class="soft" role="status">${text(talk.isOver ? "mail.dialogue_over" : "mail.dialogue_on")}</p>
  `;
}
