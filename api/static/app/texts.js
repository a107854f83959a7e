// What scripts say, in the language of the page; the server put the texts into it.

const texts = JSON.parse(document.getElementById("texts").textContent);

export const language = document.documentElement.lang;

/** How dates are written: the reader's own way, such as en-GB, where it is of the page's language. */
export const locale = navigator.languages.find((each) => each.split("-")[0] === language) ?? language;

/** Return the text of a key, with `{name}` replaced by `values.name`. */
export function text(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const numbers = new Intl.NumberFormat(language);

/** Write a number as the page's readers do. */
export const number = (value) => numbers.format(value);

/** Write a length of time in whole minutes, or in seconds if it is short. */
export const duration = (seconds) => written(seconds, "long");

/** The same, for a place that is narrow. */
export const brief = (seconds) => written(seconds, "short");

function written(seconds, unitDisplay) {
  const [value, unit] = seconds > 90 ? [Math.ceil(seconds / 60), "minute"] : [seconds, "second"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay }).format(value);
}
