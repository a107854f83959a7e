// How it was: asked once the service is complete. Who says nothing is not counted as content.

import { signal } from "@preact/signals";

import { html } from "./html.js";
import { text } from "./texts.js";

const chosen = signal(null);
const told = signal(null); // a sentence

async function send(event, id, onRated) {
  event.preventDefault();
  const comment = event.target.comment.value.trim();
  try {
    const answer = await fetch(`/app/tickets/${encodeURIComponent(id)}/feedback`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ rating: chosen.value, ...(comment && { comment }) }),
    });
    told.value = text(answer.ok ? "feedback.thanks" : "feedback.failed");
    if (answer.ok) onRated();
  } catch {
    told.value = text("feedback.failed");
  }
}

export function Feedback({ id, rating, onRated }) {
  if (rating) return html`<p class="thanks" role="status">${text("feedback.thanks")}</p>`;
  return html`
    <form class="feedback" onSubmit=${(event) => send(event, id, onRated)}>
      <fieldset>
        <legend>${text("feedback.ask")}</legend>
        <div class="marks">
          ${[1, 2, 3, 4, 5].map(
            (each) => html`
              <label key=${each}>
                <input type="radio" name="rating" value=${each} required onChange=${() => (chosen.value = each)} />
                <span>${each}</span><span class="unseen">${text("feedback.of_five")}</span>
              </label>
            `,
          )}
        </div>
        <p class="ends"><span>${text("feedback.bad")}</span> <span>${text("feedback.good")}</span></p>
      </fieldset>
      <label for="comment">${text("feedback.comment")}</label>
      <textarea id="comment" name="comment" rows="2" maxlength="1000"></textarea>
      <p role="status">${told.value}</p>
      <button type="submit" class="main">${text("feedback.send")}</button>
    </form>
  `;
}
