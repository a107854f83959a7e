// The last hour of one queue: how deep it was, what came, was done and failed; as pictures and as a table.

import { useEffect, useRef } from "preact/hooks";

import { Table } from "./console_parts.js";
import { html } from "./html.js";
import { moving } from "./plots.js";
import { brief, locale, number, text } from "./texts.js";

const MINUTES = 60;
const HEIGHT_PX = 88;
const LABEL_PX = 64; // how far apart the labels of time are
const LABELS_PX = 40;
const LEAST_TOP = 4; // one that waits is no tower

const known = (values) => values.filter((value) => value !== null);
const sum = (values) => values.reduce((all, value) => all + value, 0);
const clock = (at) => new Date(at).toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Return minutes with some of them anew: the last sixty, by age. */
export function changed(minutes, news) {
  const all = new Map([...minutes, ...news].map((each) => [each.at, each]));
  return [...all.values()].sort((a, b) => (a.at < b.at ? -1 : 1)).slice(-MINUTES);
}

/** Return what came and was done in the last whole minute, and what failed in the hour; null: not known. */
export function lately(minutes) {
  const whole = minutes.at(-2);
  const failures = known(minutes.map((each) => each.failed));
  return { came: whole?.in ?? null, done: whole?.out ?? null, failed: failures.length ? sum(failures) : null };
}

export function Hour({ domain, minutes }) {
  if (minutes.length < 2) return html`<p class="note">${text("pulse.none")}</p>`;
  const times = minutes.map((each) => Date.parse(each.at) / 1_000);
  const of = (name) => minutes.map((each) => each[name]);
  return html`
    <${Picture} said=${saidOfDepth(of("depth"))} rows=${[times, of("depth")]} series=${depthSeries}>
      <span data-line="depth">${text("pulse.depth")}</span>
    <//>
    <${Picture} said=${saidOfFlow(of)} rows=${[times, of("in"), of("out"), of("failed")]} series=${flowSeries}>
      <span data-line="in">${text("pulse.in")}</span>
      <span data-line="out">${text("pulse.out")}</span>
      <span data-line="failed">${text("pulse.failed")}</span>
    <//>
    <${Minutes} domain=${domain} minutes=${minutes} />
  `;
}

function saidOfDepth(depths) {
  const seen = known(depths);
  if (seen.length === 0) return text("pulse.unseen");
  const [now, least, most] = [seen.at(-1), Math.min(...seen), Math.max(...seen)].map(number);
  return text("pulse.depth_said", { now, least, most });
}

function saidOfFlow(of) {
  if (known(of("in")).length === 0) return text("pulse.unseen");
  const [came, done, failed] = ["in", "out", "failed"].map((name) => number(sum(known(of(name)))));
  return text("pulse.flow_said", { in: came, out: done, failed });
}

/** A picture with its key above; what it shows is said to whoever does not see it. */
function Picture({ said, rows, series, children }) {
  const element = useRef(null);
  const picture = useRef(null);
  useEffect(() => {
    const scales = { y: { range: (_plot, _least, top) => [0, Math.max(LEAST_TOP, top)] } };
    const along = { space: LABEL_PX, values: (_plot, moments) => moments.map((each) => clock(each * 1_000)) };
    picture.current = moving(element.current, { heightPx: HEIGHT_PX, labelsPx: LABELS_PX, scales, series, along }, rows);
    return picture.current.end;
  }, []);
  useEffect(() => {
    picture.current.show(rows);
  }, [JSON.stringify(rows)]);
  return html`<figure class="pulse">
    <figcaption aria-hidden="true">${children}</figcaption>
    <div ref=${element} role="img" aria-label=${said}></div>
  </figure>`;
}

const points = { show: false };

function depthSeries(colour) {
  const accent = colour("--accent");
  const fill = () => `color-mix(in srgb, ${accent()} 14%, transparent)`;
  return [{ stroke: accent, width: 2, fill, points }];
}

function flowSeries(colour) {
  return [
    { stroke: colour("--chart-in"), width: 2, points },
    { stroke: colour("--chart-done"), width: 2, dash: [6, 3], points },
    { stroke: colour("--bad"), width: 2, dash: [2, 2], points },
  ];
}

/** The same by the minute, the newest first. */
function Minutes({ domain, minutes }) {
  const heads = [text("pulse.at"), ...["depth", "oldest", "in", "out", "failed"].map((each) => `n:${text(`pulse.${each}`)}`)];
  const figure = (value) => (value === null ? "\u2013" : number(value));
  return html`<details class="minutes">
    <summary>${text("pulse.table")}</summary>
    <${Table} label=${`${text(`card.${domain}`)}: ${text("pulse.table")}`} heads=${heads}>
      ${[...minutes].reverse().map(
        (each) => html`<tr key=${each.at}>
          <th scope="row">${clock(each.at)}</th>
          <td class="n">${figure(each.depth)}</td>
          <td class="n">${each.oldest_seconds === null ? "\u2013" : brief(each.oldest_seconds)}</td>
          <td class="n">${figure(each.in)}</td>
          <td class="n">${figure(each.out)}</td>
          <td class="n">${figure(each.failed)}</td>
        </tr>`,
      )}
    <//>
  </details>`;
}
