// Two rows of bars back to back: above the line what came in, below it what was done.

import uPlot from "uplot";

import { SECONDS } from "./activity.js";

const HEIGHT_PX = 128;
const LEAST_RANGE = 4; // one message is a small bar, not a tower
const seconds = Array.from({ length: SECONDS }, (_, index) => index);

/** Draw into an element, in the colours of the style sheet; returns what draws anew. */
export function startChart(element) {
  const colour = (name) => () => getComputedStyle(element).getPropertyValue(name).trim();
  const bars = uPlot.paths.bars({ size: [0.7, 8], align: 0, radius: 0.25 });
  const series = (name) => ({ paths: bars, points: { show: false }, fill: colour(name), width: 0 });
  const plot = new uPlot(
    {
      width: element.clientWidth,
      height: HEIGHT_PX,
      padding: [0, 0, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: { x: { time: false, range: [-0.5, SECONDS - 0.5] }, y: { range } },
      series: [{}, series("--chart-in"), series("--chart-done")],
    },
    [seconds, new Array(SECONDS).fill(0), new Array(SECONDS).fill(0)],
    element,
  );

  new ResizeObserver(() => {
    plot.setSize({ width: element.clientWidth, height: HEIGHT_PX });
  }).observe(element);
  addEventListener("theme", () => plot.redraw());

  // Copies: uPlot draws a little later, and again when the size changes.
  return ({ arrived, done }) => {
    plot.setData([seconds, [...arrived], done.map((count) => -count)]);
  };
}

/** Keep the line in the middle, so that equal bars look equal. */
function range(_plot, least, most) {
  const reach = Math.max(-least, most, LEAST_RANGE) * 1.05;
  return [-reach, reach];
}
