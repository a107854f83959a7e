// What can be set in a hall: announcements, counters, procedures, opening hours. Each form sends one change.

import { html } from "./html.js";
import { text } from "./texts.js";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const NUMBERINGS = ["counter", "hall"];
const POLICIES = ["interleave", "strict", "ageing", "fifo"];
const SPAN = /^\s*(\d{1,2})(?:[:h.](\d{2})|h)?\s*[-–]\s*(\d{1,2})(?:[:h.](\d{2})|h)?\s*$/i;

export function Announcing({ onChange }) {
  async function send(event) {
    event.preventDefault();
    const form = event.target;
    const message = form.message.value.trim();
    const english = form.message_en.value.trim();
    const isDone = await onChange("POST", "/app/announcements", {
      type: form.urgent.checked ? "emergency" : "system-message",
      message,
      ...(english && { message_en: english }),
    });
    if (isDone) form.reset();
  }
  return html`
    <section aria-labelledby="announce">
      <h2 id="announce">${text("hall.announce")}</h2>
      <form class="fields" onSubmit=${send}>
        <label>${text("hall.message")} <input name="message" required maxlength="500" /></label>
        <label>${text("hall.message_en")} <input name="message_en" maxlength="500" /></label>
        <label class="check"><input type="checkbox" name="urgent" /> ${text("hall.urgent")}</label>
        <button class="copy" type="submit">${text("hall.say")}</button>
      </form>
    </section>
  `;
}

/** Show what a field holds now; what somebody is writing there stays, and so does the focus. */
function showing(value) {
  return (field) => {
    if (!field || field.dataset.shown === value) return;
    if (field !== document.activeElement || field.value === field.dataset.shown) field.value = value;
    field.dataset.shown = value;
  };
}

export function Counters({ counters, onChange }) {
  const path = (counter) => `/app/counters/${counter.id}`;
  async function add(event) {
    event.preventDefault();
    const form = event.target;
    if (await onChange("POST", "/app/counters", { name: form.name.value.trim() })) form.reset();
  }
  return html`
    <section aria-labelledby="counters">
      <h2 id="counters">${text("hall.counters")}</h2>
      ${counters.map(
        (each) => html`
          <div class="row" key=${each.id} role="group" aria-label=${each.name}>
            <label>${text("hall.name")} <small>(ID ${each.id})</small>
              <input required ref=${showing(each.name)} defaultValue=${each.name} maxlength="255" onChange=${(event) => event.target.reportValidity() && onChange("PATCH", path(each), { name: event.target.value.trim() })} />
            </label>
            <label>${text("hall.policy")}
              <select value=${each.policy} onChange=${(event) => onChange("PATCH", path(each), { policy: event.target.value })}>
                ${POLICIES.map((policy) => html`<option key=${policy} value=${policy}>${text(`policy.${policy}`)}</option>`)}
              </select>
            </label>
            <label>${text("hall.number_first")}
              <input type="number" required min="1" max="9000" ref=${showing(String(each.number_first))} defaultValue=${each.number_first} onChange=${(event) => event.target.reportValidity() && onChange("PATCH", path(each), { number_first: Number(event.target.value) })} />
            </label>
            <div class="acts">
              ${each.status !== "offline" && html`
                <button type="button" class="copy" onClick=${() => (each.status === "active" ? onChange("POST", `${path(each)}/pause`, {}) : onChange("PUT", `${path(each)}/resume`))}>
                  ${text(each.status === "active" ? "hall.pause" : "hall.resume")}
                </button>
              `}
              <button type="button" class="quiet" onClick=${() => onChange("PATCH", path(each), { status: each.status === "offline" ? "active" : "offline" })}>
                ${text(each.status === "offline" ? "hall.open" : "hall.close")}
              </button>
            </div>
          </div>
        `,
      )}
      <form class="row" onSubmit=${add}>
        <label>${text("hall.new_counter")} <input name="name" required maxlength="255" /></label>
        <button class="copy" type="submit">${text("hall.add")}</button>
      </form>
    </section>
  `;
}

/** The fields of a procedure that is there, or of a new one. */
function ProcedureFields({ procedure, counters }) {
  const isDoneAt = (counter) => procedure?.counter_ids.includes(counter.id) ?? false;
  return html`
    <label>${text(procedure ? "hall.name" : "hall.new_procedure")} <input name="name" required maxlength="255" defaultValue=${procedure?.name ?? ""} /></label>
    <label>${text("hall.service_minutes")} <input name="minutes" type="number" min="1" max="1440" defaultValue=${procedure?.service_minutes ?? 8} required /></label>
    <fieldset>
      <legend>${text("hall.at")}</legend>
      ${counters.map((each) => html`<label class="check" key=${each.id}><input type="checkbox" name="at" value=${each.id} defaultChecked=${isDoneAt(each)} /> ${each.name}</label>`)}
    </fieldset>
  `;
}

/** Return what is written in the fields of a procedure. */
function written(form) {
  return {
    name: form.elements.name.value.trim(),
    service_minutes: Number(form.minutes.value),
    counter_ids: [...form.querySelectorAll("[name=at]:checked")].map((each) => Number(each.value)),
  };
}

export function Procedures({ procedures, counters, onChange }) {
  async function add(event) {
    event.preventDefault();
    const form = event.target;
    if (await onChange("POST", "/app/procedures", written(form))) form.reset();
  }
  async function change(event, procedure) {
    event.preventDefault();
    const form = event.target;
    if (!(await onChange("PATCH", `/app/procedures/${procedure.id}`, written(form)))) return;
    const details = form.closest("details");
    details.open = false;
    details.querySelector("summary").focus();
  }
  return html`
    <section aria-labelledby="procedures">
      <h2 id="procedures">${text("hall.procedures")}</h2>
      <ul class="procedures">
        ${procedures.map(
          (each) => html`
            <li key=${each.id}>
              <span>${each.name}</span>
              <span class="soft">${text("hall.takes", { n: each.service_minutes })} · ${each.counter_ids.length ? each.counters.map((one) => one.name).join(", ") : text("hall.anywhere")}</span>
              <button type="button" class="quiet" onClick=${() => onChange("PATCH", `/app/procedures/${each.id}`, { is_active: !each.is_active })}>
                ${text(each.is_active ? "hall.withdraw" : "hall.offer")}
              </button>
              <details onToggle=${(event) => event.target.open && event.target.querySelector("form").reset()}>
                <summary aria-label=${`${text("hall.change")} ${each.name}`}>${text("hall.change")}</summary>
                <form class="row" onSubmit=${(event) => change(event, each)}>
                  <${ProcedureFields} procedure=${each} counters=${counters} />
                  <button class="copy" type="submit">${text("hall.save")}</button>
                </form>
              </details>
            </li>
          `,
        )}
      </ul>
      <form class="row" onSubmit=${add}>
        <${ProcedureFields} counters=${counters} />
        <button class="copy" type="submit">${text("hall.add")}</button>
      </form>
    </section>
  `;
}

/** Return the spans that somebody wrote, as `08:00-11:30, 13:30-17:00`, `8-11; 13-17` or `7h30-11h30`; null if they are none. */
function spans(said) {
  if (!said.trim()) return [];
  const found = said.split(/[,;]/).map((part) => SPAN.exec(part));
  if (!found.every(Boolean)) return null;
  const at = (hour, minute = "00") => `${hour.padStart(2, "0")}:${minute}`;
  const made = found.map(([, h, m, untilH, untilM]) => [at(h, m), at(untilH, untilM)]);
  const moments = made.flat();
  const isInOrder = moments.every((each, i) => i === 0 || moments[i - 1] < each || (i % 2 === 0 && moments[i - 1] === each));
  return isInOrder && moments.at(-1) <= "24:00" && moments.every((each) => each.slice(3) < "60") ? made : null;
}

export function Hours({ branches, onChange }) {
  function send(event, branch) {
    event.preventDefault();
    const form = event.target;
    const hall = {
      name: form.title.value.trim(),
      timezone: form.timezone.value.trim(),
      numbering: form.numbering.value,
      number_first: Number(form.number_first.value),
      reset_at: form.reset_at.value,
    };
    if (form.always.checked) return onChange("PATCH", `/app/branches/${branch.id}`, { ...hall, opening: null });
    const opening = {};
    for (const day of DAYS) {
      const found = spans(form[day].value);
      form[day].setCustomValidity(found ? "" : text("hall.hours_form"));
      if (!found) return form[day].reportValidity();
      opening[day] = found;
    }
    return onChange("PATCH", `/app/branches/${branch.id}`, { ...hall, opening });
  }
  return html`
    <section aria-labelledby="opening">
      <h2 id="opening">${text("hall.opening")}</h2>
      <p>${text("hall.hours_form")} ${text("hall.numbers_hint")}</p>
      ${branches.map(
        (branch) => html`
          <form class="fields" key=${branch.id} aria-label=${branch.name} onSubmit=${(event) => send(event, branch)}>
            <h3>${branch.name} <small>(ID ${branch.id})</small></h3>
            <label>${text("hall.branch_name")} <input name="title" defaultValue=${branch.name} required maxlength="255" /></label>
            <label>${text("hall.timezone")} <input name="timezone" defaultValue=${branch.timezone} required maxlength="64" spellcheck="false" /></label>
            <label>${text("hall.numbering")}
              <select name="numbering">
                ${NUMBERINGS.map((each) => html`<option key=${each} value=${each} selected=${each === branch.numbering}>${text(`numbering.${each}`)}</option>`)}
              </select>
            </label>
            <label>${text("hall.hall_number_first")} <input name="number_first" type="number" min="1" max="9000" required defaultValue=${branch.number_first} /></label>
            <label>${text("hall.reset_at")} <input name="reset_at" type="time" required defaultValue=${branch.reset_at} /></label>
            <label class="check"><input type="checkbox" name="always" defaultChecked=${branch.opening === null} /> ${text("hall.always")}</label>
            <div class="days">
              ${DAYS.map(
                (day) => html`
                  <label key=${day}>${text(`day.${day}`)}
                    <input
                      name=${day}
                      defaultValue=${(branch.opening?.[day] ?? []).map((span) => span.join("-")).join(", ")}
                      onInput=${(event) => event.target.setCustomValidity("")}
                    />
                  </label>
                `,
              )}
            </div>
            <button class="copy" type="submit">${text("hall.save")}</button>
          </form>
        `,
      )}
    </section>
  `;
}
