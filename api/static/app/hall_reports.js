// What the reports say of a hall: how many came, how long they waited, and whether they were told right.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import { ask } from "./ask.js";
import { html } from "./html.js";
import { oneAtATime } from "./looks.js";
import { plot } from "./plots.js";
import { number, text } from "./texts.js";

const DAY_MS = 86_400_000;
const HEIGHT_PX = 160;
const PERIODS = [1, 7, 31];

const period = signal(1);
const branchId = signal(null);
const load = signal(null);
const accuracy = signal(null);
const isFailing = signal(false);

function day(daysAgo) {
  const at = new Date(Date.now() - daysAgo * DAY_MS);
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

function query() {
  // Today is the hall's own unless it is named.
  const days = period.value === 1 ? {} : { from: day(period.value - 1), to: day(0) };
  return new URLSearchParams({ branch_id: branchId.value, ...days });
}

const look = oneAtATime(async () => {
  try {
    [load.value, accuracy.value] = await Promise.all([
      ask("GET", `/app/reports/load?${query()}`),
      ask("GET", `/app/reports/accuracy?${query()}`),
    ]);
    isFailing.value = false;
  } catch {
    isFailing.value = true;
  }
});

const minutes = (value) => (value === null ? "–" : text("hall.minutes", { n: number(value) }));
const share = (value) => (value === null ? "–" : `${number(Math.round(value * 100))} %`);

export function Reports({ branches }) {
  useEffect(() => {
    if (!branches.some((each) => each.id === branchId.value)) branchId.value = branches[0]?.id ?? null;
    if (branchId.value) look();
  }, [branches, period.value, branchId.value]);
  if (!branchId.value) return null;
  return html`
    <section aria-labelledby="reports">
      <h2 id="reports">${text("hall.reports")}</h2>
      <div class="choices">
        ${branches.length > 1 &&
        html`
          <label>${text("hall.branch")}
            <select value=${branchId.value} onChange=${(event) => (branchId.value = Number(event.target.value))}>
              ${branches.map((each) => html`<option key=${each.id} value=${each.id}>${each.name}</option>`)}
            </select>
          </label>
        `}
        <label>${text("hall.period")}
          <select value=${period.value} onChange=${(event) => (period.value = Number(event.target.value))}>
            ${PERIODS.map((each) => html`<option key=${each} value=${each}>${text(`hall.days_${each}`)}</option>`)}
          </select>
        </label>
        <a class="csv" href=${`/app/reports/tickets?${query()}`} download>${text("hall.csv")}</a>
      </div>
      ${isFailing.value && html`<p class="notice refusal">${text("hall.reports_failing")}</p>`}
      ${load.value && html`<${Totals} totals=${load.value.totals} />`}
      ${load.value && html`<${Peaks} hours=${load.value.hours} />`}
      ${load.value && html`<${Use} counters=${load.value.counters} />`}
      ${accuracy.value && html`<${Accuracy} told=${accuracy.value} />`}
    </section>
  `;
}

function Totals({ totals }) {
  const shown = [
    ["hall.tickets", number(totals.tickets)],
    ["hall.mean_wait", minutes(totals.mean_wait_minutes)],
    ["hall.abandonment", share(totals.abandonment_rate)],
    ["hall.rating", totals.mean_rating === null ? "–" : number(totals.mean_rating)],
  ];
  return html`<dl class="counts">${shown.map(([key, value]) => html`<div key=${key}><dt>${text(key)}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** Arrivals by the hour, as a picture and as a sentence. */
function Peaks({ hours }) {
  const element = useRef(null);
  const counts = Array.from({ length: 24 }, (_, hour) => hours.find((each) => each.hour === hour)?.tickets ?? 0);
  useEffect(() => draw(element.current, counts), [counts.join()]);
  const most = Math.max(...counts);
  const peaks = counts.flatMap((count, hour) => (count && count >= 0.8 * most ? [`${hour}:00`] : []));
  return html`
    <figure class="peaks">
      <div ref=${element} role="img" aria-label=${text("hall.hours")}></div>
      <figcaption>${peaks.length ? text("hall.peaks", { hours: peaks.join(", ") }) : text("hall.no_peaks")}</figcaption>
    </figure>
  `;
}

function draw(element, counts) {
  const bars = { paths: uPlot.paths.bars({ size: [0.7, 32] }), points: { show: false }, width: 0 };
  const scales = {
    x: { time: false, range: [-0.5, 23.5] },
    y: { range: (_plot, _least, top) => [0, Math.max(4, top)] },
  };
  const series = (colour) => [{ ...bars, fill: colour("--chart-done") }];
  return plot(element, { heightPx: HEIGHT_PX, labelsPx: 36, scales, series }, [counts.map((_, hour) => hour), counts]);
}

function Use({ counters }) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${text("hall.use")}>
      <table>
        <thead>
          <tr>
            <th scope="col">${text("hall.counter")}</th>
            <th scope="col" class="n">${text("hall.served")}</th>
            <th scope="col" class="n">${text("hall.utilisation")}</th>
            <th scope="col" class="n">${text("hall.mean_wait")}</th>
            <th scope="col" class="n">${text("hall.no_shows")}</th>
            <th scope="col" class="n">${text("hall.abandoned")}</th>
          </tr>
        </thead>
        <tbody>
          ${counters.map(
            (each) => html`
              <tr key=${each.counter_id}>
                <th scope="row">${each.counter_name}</th>
                <td class="n">${number(each.served)}</td>
                <td class="n">${share(each.utilisation)}</td>
                <td class="n">${minutes(each.mean_wait_minutes)}</td>
                <td class="n">${number(each.no_shows)}</td>
                <td class="n">${number(each.abandoned)}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function Accuracy({ told }) {
  if (!told.outcomes) return html`<p>${text("hall.accuracy_none")}</p>`;
  return html`<p>${text("hall.accuracy", {
    n: number(told.outcomes),
    error: number(told.mean_absolute_error_minutes),
    coverage: share(told.coverage),
    nominal: share(told.nominal),
  })}</p>`;
}
