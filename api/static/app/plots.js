// Pictures of numbers: in the colours of the page, as wide as their place, and anew when either changes.

import uPlot from "uplot";

/**
 * Draw rows of numbers.
 *
 * @param {HTMLElement} element where
 * @param {{heightPx: number, labelsPx: number, scales: object, series: (colour: (name: string) => () => string) => object[]}} how
 * @param {number[][]} rows the first is along the picture
 * @returns {() => void} ends it
 */
export function plot(element, { heightPx, labelsPx, scales, series }, rows) {
  const colour = (name) => () => getComputedStyle(element).getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line") }, ticks: { show: false } };
  const size = () => ({ width: element.clientWidth, height: heightPx });
  const picture = new uPlot(
    {
      ...size(),
      legend: { show: false },
      cursor: { show: false },
      axes: [axis, { ...axis, size: labelsPx }],
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
  return () => {
    sizes.disconnect();
    removeEventListener("theme", again);
    picture.destroy();
  };
}
