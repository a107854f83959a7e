// What Exim and a receiver say to each other while a message is delivered or sent back, line by line.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

import { ask } from "./ask.js";
import { explain } from "./console_parts.js";
import { html } from "./html.js";
import { text } from "./texts.js";

// A host that dies says nothing more; the server knows after a while, and is asked so often.
const LOOK_MS = 15_000;

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
  const wasOver = !isNew && known.isOver && !known.isLost;
  return { operation: piece.operation_id, lines, isOver: piece.is_over || wasOver, isLost: piece.is_lost === true && !wasOver };
}

/** The last dialogue of a message; `onOver` is called when one that goes on ends. */
export function Dialogue({ host, id, onOver }) {
  const [talk, setTalk] = useState({ operation: null, lines: [], isOver: true, isLost: false });
  async function look() {
    const { data } = await ask("GET", `/api/v1/messages/${id}/dialogue?host=${encodeURIComponent(host)}`);
    if (!data.operation_id) return;
    const piece = { ...data, first: 0 };
    setTalk((known) => (known.operation && known.operation !== data.operation_id ? known : join(known, piece)));
  }
  useEffect(() => {
    if (talk.isOver) return undefined;
    const timer = setInterval(() => look().catch(() => {}), LOOK_MS);
    return () => clearInterval(timer);
  }, [host, id, talk.operation, talk.isOver]);
  useEffect(() => {
    look().catch(explain);
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
    <p class="soft" role="status">${text(`mail.dialogue_${talk.isLost ? "lost" : talk.isOver ? "over" : "on"}`)}</p>
  `;
}
