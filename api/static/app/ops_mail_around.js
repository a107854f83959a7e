// Around the list: the hosts, the last hour as a picture, and what messages have in common.

import { useEffect, useRef } from "preact/hooks";

import { Table } from "./console_parts.js";
import { html } from "./html.js";
import { CLOCK, plot } from "./plots.js";
import { span } from "./spans.js";
import { number, text } from "./texts.js";

const HEIGHT_PX = 140;
const KINDS = ["reason", "sender", "sender_domain", "recipient_domain", "host"];
// What finds the messages of a group in the list.
const FILTER_OF = { sender: "sender", sender_domain: "sender_domain", recipient_domain: "recipient_domain", reason: "reason", host: "host" };

/** What needs somebody first. */
export function Alarms({ alarms }) {
  if (alarms.length === 0) return null;
  const said = ({ kind, host, value, threshold }) =>
    text(`mail.alarm_${kind}`, { host, value: number(value), threshold: number(threshold), age: span(value) });
  return html`<ul class="notices" aria-label=${text("mail.alarms")}>
    ${alarms.map((each) => html`<li key=${`${each.host} ${each.kind}`} data-level=${each.kind === "silence" ? "fault" : "notice"}><p>${said(each)}</p></li>`)}
  </ul>`;
}

export function Hosts({ hosts }) {
  if (hosts.length === 0) return html`<p class="notice">${text("mail.no_host")}</p>`;
  return html`<ul class="hosts" aria-label=${text("mail.hosts")}>
    ${hosts.map(({ name, alive, messages }) => html`<li key=${name} data-alive=${String(alive)}>
      <strong>${name}</strong> ${text(alive ? "mail.alive" : "mail.silent")}, ${text(messages === 1 ? "mail.holds_one" : "mail.holds", { n: number(messages) })}
    </li>`)}
  </ul>`;
}

/** The last hour: all messages and those that are frozen, and how long the oldest has waited. */
export function Trend({ samples }) {
  if (samples.length < 2) return null;
  const column = (name) => samples.map((each) => each[name]);
  const times = samples.map((each) => Date.parse(each.timestamp) / 1_000);
  const [first, last] = [samples[0], samples.at(-1)];
  const hours = column("oldest_age").map((seconds) => seconds / 3_600);
  return html`<div class="pictures">
    <${Picture} label=${text("mail.trend")} rows=${[times, column("messages"), column("frozen")]}
      said=${text("mail.trend_said", { from: number(first.messages), to: number(last.messages) })} />
    <${Picture} label=${text("mail.trend_age")} rows=${[times, hours]}
      said=${text("mail.trend_age_said", { from: span(first.oldest_age), to: span(last.oldest_age) })} />
  </div>`;
}

function Picture({ label, said, rows }) {
  const element = useRef(null);
  useEffect(() => draw(element.current, rows), [JSON.stringify(rows)]);
  return html`<figure class="peaks">
    <div ref=${element} role="img" aria-label=${label}></div>
    <figcaption>${said}</figcaption>
  </figure>`;
}

function draw(element, rows) {
  const lines = (colour) => [
    { stroke: colour("--chart-done"), width: 2 },
    { stroke: colour("--soft"), width: 2, dash: [4, 4] },
  ];
  const series = (colour) => lines(colour).slice(0, rows.length - 1);
  const scales = { y: { range: (_plot, _least, top) => [0, Math.max(4, top)] } };
  return plot(element, { heightPx: HEIGHT_PX, labelsPx: 44, scales, series, clock: CLOCK }, rows);
}

/** What messages have in common; one of it shows them in the list. */
export function Groups({ groups, by, onBy, onChoose }) {
  const heads = [text(`mail.group_${by}`), `n:${text("mail.all")}`];
  return html`<section aria-labelledby="groups">
    <h2 id="groups">${text("mail.groups")}</h2>
    <div class="row"><label>${text("mail.group_by")}
      <select value=${by} onChange=${(event) => onBy(event.target.value)}>${KINDS.map((each) => html`<option key=${each} value=${each}>${text(`mail.group_${each}`)}</option>`)}</select>
    </label></div>
    ${groups.length === 0
      ? html`<p>${text("mail.none")}</p>`
      : html`<${Table} label=${text("mail.groups")} heads=${heads}>
          ${groups.map((each) => html`<tr key=${each.value}>
            <th scope="row"><button type="button" class="plain" onClick=${() => onChoose({ [FILTER_OF[by]]: each.value })}>${each.value || "–"}</button></th>
            <td class="n">${number(each.messages)}</td>
          </tr>`)}
        <//>`}
  </section>`;
}
