// One counter as its officer sees it: who is there, who waits, and what the officer does about it.
//
// What is shown always comes from the server; an act that fails changes nothing, and says why.

import { batch, signal } from "@preact/signals";

import { ask, Refusal } from "./ask.js";
import { followCounter } from "./hall_line.js";
import { isAway } from "./live.js";
import { oneAtATime } from "./looks.js";
import { text } from "./texts.js";

// Many things happen at once when somebody is called: they are looked at together.
const GATHER_MS = 120;
const REFUSED = new Set([
  "counter_busy",
  "counter_not_active",
  "invalid_status_transition",
  "no_waiting_tickets",
  "ticket_not_found",
  "too_few_calls",
  "unauthorized_counter",
]);
const THERE = new Set(["called", "serving"]);
const DRAFT = "stanchion_notes_";

export class Desk {
  constructor() {
    this.counter = signal(null);
    this.line = signal([]);
    this.ticket = signal(null); // who is there, with what was noted
    this.notes = signal("");
    this.notice = signal(null); // {kind, sentence, link?}
    this.isBusy = signal(false);
    this.seenAtMs = 0;
    this.follower = null;
    this.timer = null;
  }

  /** Work at a counter from now on. */
  open(counter) {
    this.follower?.close();
    batch(() => {
      this.counter.value = counter;
      this.line.value = [];
      this.ticket.value = null;
      this.notice.value = null;
    });
    this.follower = followCounter(counter.id, {
      onState: (list) => this.showLine(list),
      onChange: () => this.lookSoon(),
    });
    this.look();
  }

  // Looking --------------------------------------------------------------------------------------

  lookSoon() {
    this.timer ??= setTimeout(() => this.look(), GATHER_MS);
  }

  look = oneAtATime(() => this.lookNow());

  async lookNow() {
    clearTimeout(this.timer);
    this.timer = null;
    const id = this.counter.value.id;
    try {
      const [counter, list] = await Promise.all([
        ask("GET", `/app/counters/${id}`),
        this.follower.state().catch(() => null),
      ]);
      if (id !== this.counter.value.id) return;
      const ticket = await this.whoIsThere(counter);
      batch(() => {
        this.counter.value = counter;
        if (list) this.showLine(list);
        this.showTicket(ticket);
      });
      isAway.value = false;
    } catch (error) {
      if (error instanceof Refusal) this.explain(error);
      else isAway.value = true; // the socket comes back by itself, and has the page look anew
    }
  }

  async whoIsThere(counter) {
    const there = counter.present.find((each) => each.number === counter.current_serving);
    if (!there) return null;
    const ticket = await ask("GET", `/app/tickets/${there.ticket_id}`);
    return THERE.has(ticket.status) ? ticket : null; // between both answers it may have left
  }

  showLine(list) {
    const found = list.counters?.find((each) => each.counter_id === this.counter.value.id);
    if (!found) return;
    const isNews = this.seenAtMs > 0 && found.total_waiting !== this.counter.value.total_waiting;
    this.seenAtMs = Date.now();
    this.line.value = found.waiting_queue;
    if (isNews || found.current_serving?.ticket_id !== this.ticket.value?.id) this.lookSoon();
  }

  showTicket(ticket) {
    if (ticket?.id !== this.ticket.value?.id) {
      this.notes.value = ticket ? (sessionStorage.getItem(DRAFT + ticket.id) ?? "") : "";
    }
    this.ticket.value = ticket;
  }

  /** Keep what is being written, so that no reload and no refusal loses it. */
  draft(notes) {
    this.notes.value = notes;
    if (this.ticket.value) sessionStorage.setItem(DRAFT + this.ticket.value.id, notes);
  }

  // Acting ---------------------------------------------------------------------------------------

  /** Call who is next; who is served here is done with, with what was noted. */
  next() {
    return this.act(async () => {
      const there = this.ticket.value;
      if (there?.status === "serving" && this.notes.value) {
        await this.patch({ status: "completed", notes: this.notes.value });
      }
      await ask("POST", `/app/counters/${this.counter.value.id}/call-next`);
    });
  }

  serve = () => this.act(() => this.patch({ status: "serving", notes: this.noted() }));
  done = () => this.act(() => this.patch({ status: "completed", notes: this.noted() }));
  incomplete = () =>
    this.act(() =>
      this.patch({
        status: "completed",
        completion_reason: "document_missing",
        notes: this.noted(),
      }),
    );
  recall = () => this.act(() => this.post("recall"));
  absent = () => this.act(() => this.post("no-show", { notes: this.noted() }));
  park = () => this.act(() => this.post("park", { notes: this.noted() }));
  transfer = (counterId) =>
    this.act(() => this.post("transfer", { counter_id: counterId, notes: this.noted() }));
  giveBack = (ticketId) => this.act(() => ask("POST", `/app/tickets/${ticketId}/return`));
  pause = (reason, until) =>
    this.act(() =>
      ask("POST", `/app/counters/${this.counter.value.id}/pause`, {
        ...(reason && { reason }),
        ...(until && { until }),
      }),
    );
  resume = () => this.act(() => ask("PUT", `/app/counters/${this.counter.value.id}/resume`));

  /** Do one thing at a time; returns whether it was done. */
  async act(what) {
    if (this.isBusy.value) return false;
    this.isBusy.value = true;
    const before = this.ticket.value;
    let isDone = false;
    try {
      await what();
      isDone = true;
      this.notice.value = null;
      if (before) sessionStorage.removeItem(DRAFT + before.id);
    } catch (error) {
      this.explain(error);
    }
    await this.look();
    this.isBusy.value = false;
    return isDone;
  }

  patch(body) {
    return ask("PATCH", `/app/tickets/${this.ticket.value.id}`, body);
  }

  post(act, body) {
    return ask("POST", `/app/tickets/${this.ticket.value.id}/${act}`, body);
  }

  noted() {
    return this.notes.value || undefined;
  }

  explain(error) {
    if (!(error instanceof Refusal)) {
      isAway.value = true;
      this.refuse(text("refusal.away"));
    } else if (error.status === 401) {
      this.notice.value = { kind: "refusal", sentence: text("refusal.session"), link: "/login?next=/officer" };
    } else if (error.status === 429) {
      this.refuse(text("refusal.limited", { seconds: error.retryAfterS }));
    } else if (error.status >= 500) {
      this.refuse(text("refusal.failing"));
    } else if (REFUSED.has(error.code)) {
      // Everywhere else a number has three digits.
      const number = String(error.details.number ?? "").padStart(3, "0");
      this.refuse(text(`refusal.${error.code}`, { ...error.details, number }));
    } else {
      this.refuse(error.message);
    }
  }

  refuse(sentence) {
    this.notice.value = { kind: "refusal", sentence };
  }
}
