// `/ops/people`: who may log in and as what, and the keys of programs.

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";

import { ask } from "./ask.js";
import { act, Asking, Dialog, moment, open, say, Table } from "./console_parts.js";
import { html } from "./html.js";
import { text } from "./texts.js";

const LOOK_EVERY_MS = 30_000;
const ROLES = ["admin", "supervisor", "officer", "kiosk", "display", "operator", "viewer"];
const SCOPES = ["messages", "rooms", "tickets", "kiosk", "admin"];
const PASSWORD_MIN = 8;
const NAME = "[a-z0-9][a-z0-9._@\\-]*"; // what the server takes as a name of a user or a key

const users = signal(null);
const keys = signal(null);
const counters = signal([]); // what an officer may be given

async function lookNow() {
  const [people, programs, hall] = await Promise.all([
    ask("GET", "/api/v1/auth/users"),
    ask("GET", "/api/v1/auth/keys"),
    ask("GET", "/app/counters"),
  ]);
  users.value = people.data;
  keys.value = programs.data;
  counters.value = hall.counters;
}

const change = (user, changes) => act(() => ask("PATCH", `/api/v1/auth/users/${encodeURIComponent(user.username)}`, changes));

function Board() {
  if (!users.value) return html`<p>${text("board.looking")}</p>`;
  return html`<${Users} /><${Keys} />`;
}

function Roles({ value, onChange, ...attributes }) {
  return html`<select value=${value} onChange=${onChange} ...${attributes}>
    ${ROLES.map((each) => html`<option key=${each} value=${each}>${text(`role.${each}`)}</option>`)}
  </select>`;
}

/** The counter of an officer: without one nobody can be called. */
function CounterOf({ value, onChange, ...attributes }) {
  return html`<select value=${value ?? ""} onChange=${onChange} ...${attributes}>
    <option value="">${text("people.no_counter")}</option>
    ${counters.value.map((each) => html`<option key=${each.id} value=${each.id}>${each.name}</option>`)}
  </select>`;
}

function Users() {
  const [locked, setLocked] = useState(null); // whose password is set anew
  const heads = ["name", "full_name", "role", "last", "state"].map((each) => text(`people.${each}`));
  async function turn(event, user) {
    const select = event.target;
    if (!(await change(user, { role: select.value }))) select.value = user.role; // refused: as it was
  }
  async function seat(event, user) {
    const select = event.target;
    if (!(await change(user, { counter_id: Number(select.value) || null }))) select.value = user.counter_id ?? "";
  }
  return html`<section aria-labelledby="users">
    <h2 id="users">${text("people.users")}</h2>
    <${Table} label=${text("people.users_table")} heads=${heads}>
      ${users.value.map(
        (user) => html`<tr key=${user.id}>
          <th scope="row">${user.username}</th>
          <td>${user.full_name || "–"}</td>
          <td><${Roles} value=${user.role} aria-label=${text("people.role_of", { name: user.username })} onChange=${(event) => turn(event, user)} />
            ${user.role === "officer" && html`<${CounterOf} value=${user.counter_id} aria-label=${text("people.counter_of", { name: user.username })} onChange=${(event) => seat(event, user)} />`}</td>
          <td class="when">${moment(user.last_login_at)}</td>
          <td>
            <span class="state">${text(user.is_active ? "people.active" : "people.disabled")}</span>
            <button type="button" class="copy" aria-label=${text(user.is_active ? "people.disable_one" : "people.enable_one", { name: user.username })} onClick=${() => change(user, { is_active: !user.is_active })}>
              ${text(user.is_active ? "people.disable" : "people.enable")}
            </button>
            <button type="button" class="quiet" aria-label=${text("people.password_of", { name: user.username })} onClick=${() => setLocked(user)}>${text("people.password")}</button>
          </td>
        </tr>`,
      )}
    <//>
    <${NewUser} />
    ${locked && html`<${NewPassword} user=${locked} onClose=${() => setLocked(null)} />`}
  </section>`;
}

function NewUser() {
  const [role, setRole] = useState("viewer");
  async function add(event) {
    event.preventDefault();
    const form = event.target;
    const made = await act(() =>
      ask("POST", "/api/v1/auth/users", {
        username: form.username.value.trim(),
        full_name: form.full_name.value.trim(),
        role,
        ...(role === "officer" && { counter_id: Number(form.counter.value) }),
        password: form.password.value,
      }),
    );
    if (!made) return; // what was written stays, to be mended
    form.reset();
    setRole("viewer");
    say(text("people.made", { name: made.data.username }));
  }
  return html`<h3>${text("people.new_user")}</h3>
    <form class="row" autocomplete="off" onSubmit=${add}>
      <label>${text("people.name")} <input name="username" required pattern=${NAME} title=${text("people.name_form")} maxlength="64" autocomplete="off" /></label>
      <label>${text("people.full_name")} <input name="full_name" maxlength="255" autocomplete="off" /></label>
      <label>${text("people.role")} <${Roles} value=${role} name="role" onChange=${(event) => setRole(event.target.value)} /></label>
      ${role === "officer" && html`<label>${text("people.counter")} <${CounterOf} name="counter" required /></label>`}
      <label>${text("people.first_password")} <input name="password" type="password" required minlength=${PASSWORD_MIN} autocomplete="new-password" /></label>
      <button class="copy" type="submit">${text("people.add")}</button>
    </form>`;
}

function NewPassword({ user, onClose }) {
  async function send(event) {
    event.preventDefault();
    const done = await change(user, { password: event.target.password.value });
    if (done) say(text("people.password_set", { name: user.username }));
    onClose();
  }
  return html`<${Dialog} title=${text("people.password_of", { name: user.username })} onClose=${onClose}>
    <p>${text("people.password_what")}</p>
    <form class="row" onSubmit=${send}>
      <label>${text("people.new_password")} <input name="password" type="password" required minlength=${PASSWORD_MIN} autocomplete="new-password" /></label>
      <button class="main" type="submit">${text("people.set")}</button>
    </form>
  <//>`;
}

function Keys() {
  const [made, setMade] = useState(null); // the one key that can be read, until it is put away
  const [revoking, setRevoking] = useState(null);
  async function add(event) {
    event.preventDefault();
    const form = event.target;
    const answer = await act(() => ask("POST", "/api/v1/auth/keys", { name: form.name.value.trim(), scope: form.scope.value }));
    if (!answer) return;
    form.reset();
    setMade(answer.data);
  }
  const revoke = (name) => act(() => ask("DELETE", `/api/v1/auth/keys/${encodeURIComponent(name)}`));
  return html`<section aria-labelledby="keys">
    <h2 id="keys">${text("people.keys")}</h2>
    ${keys.value.length === 0
      ? html`<p>${text("people.no_keys")}</p>`
      : html`<${Table} label=${text("people.keys_table")} heads=${["key", "scope", "made_at", "revoke"].map((each) => text(`people.${each}`))}>
          ${keys.value.map(
            (key) => html`<tr key=${key.id}>
              <th scope="row">${key.name}</th>
              <td>${text(`scope.${key.scope}`)}</td>
              <td class="when">${moment(key.created_at)}</td>
              <td><button type="button" class="copy" aria-label=${text("people.revoke_one", { name: key.name })} onClick=${() => setRevoking(key.name)}>${text("people.revoke")}</button></td>
            </tr>`,
          )}
        <//>`}
    <div role="status">
      ${made &&
      html`<div class="secret">
        <p>${text("people.once", { name: made.name })}</p>
        <p><code>${made.key}</code></p>
        <p class="acts"><button type="button" class="copy" onClick=${() => setMade(null)}>${text("people.put_away")}</button></p>
      </div>`}
    </div>
    <h3>${text("people.new_key")}</h3>
    <form class="row" onSubmit=${add}>
      <label>${text("people.key")} <input name="name" required pattern=${NAME} title=${text("people.name_form")} maxlength="64" autocomplete="off" /></label>
      <label>${text("people.scope")}
        <select name="scope">${SCOPES.map((each) => html`<option key=${each} value=${each}>${text(`scope.${each}`)}</option>`)}</select>
      </label>
      <button class="copy" type="submit">${text("people.make")}</button>
    </form>
    ${revoking &&
    html`<${Asking} title=${text("people.revoke_one", { name: revoking })} yes=${text("people.revoke")} onYes=${() => revoke(revoking)} onClose=${() => setRevoking(null)}>
      <p>${text("people.revoke_what")}</p>
    <//>`}
  </section>`;
}

open(Board, { lookNow, everyMs: LOOK_EVERY_MS });
