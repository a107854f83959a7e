// Pictures of numbers: in the colours of the page, as wide as their place, and anew when either changes.

import uPlot from "uplot";

import { locale } from "./texts.js";

const SMALL_PX = 22; // a line of labels, and what two of them are apart

const hour = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Draws an axis of moments within a day or so, Unix seconds, by the clock of who looks. */
export const CLOCK = {
  incrs: [60, 300, 600, 900, 1_800, 3_600, 10_800],
  space: 64,
  values: (_picture, moments) => moments.map((each) => hour.format(each * 1_000)),
};

/** Draw rows of numbers as `moving` does; returns what ends it. */
export const plot = (element, how, rows) => moving(element, how, rows).end;

/**
 * Draw rows of numbers that others follow.
 *
 * @param {HTMLElement} element where
 * @param {{heightPx: number, labelsPx: number, scales: object, series: (colour: (name: string) => () => string) => object[], along?: object, clock?: object}} how
 *   `along` is what the axis along a small picture is drawn by, `clock` what one of moments is
 * @param {number[][]} rows the first is along the picture
 * @returns {{show: (rows: number[][]) => void, end: () => void}} draws anew, and ends it
 */
export function moving(element, { heightPx, labelsPx, scales, series, along, clock }, rows) {
  const colour = (name) => () => getComputedStyle(element).getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line") }, ticks: { show: false } };
  const small = { size: SMALL_PX, space: SMALL_PX, gap: 4 };
  const size = () => ({ width: element.clientWidth, height: heightPx });
  const picture = new uPlot(
    {
      ...size(),
      legend: { show: false },
      cursor: { show: false },
      axes: along ? [{ ...axis, ...small, ...along }, { ...axis, ...small, size: labelsPx }] : [{ ...axis, ...clock }, { ...axis, size: labelsPx }],
      scales,
      series: [{}, ...series(colour)],
    },
    rows,
    element,
  );
  const sizes = new ResizeObserver(() => picture.setSize(size()));
  const again = () => picture.redraw();
  sizes.observe(element);
  addEventListener("theme", again);
  return {
    show: (news) => picture.setData(news),
    end() {
      sizes.disconnect();
      removeEventListener("theme", again);
      picture.destroy();
    },
  };
}
