// The voice that a hall recorded: files named by what they say are stored, heard and taken away.

import { useEffect, useState } from "preact/hooks";

import { ask } from "./ask.js";
import { html } from "./html.js";
import { text } from "./texts.js";

const TYPES = { wav: "audio/wav", mp3: "audio/mpeg", ogg: "audio/ogg" };
const LANGUAGES = ["vi", "en"];
const NEEDED = ["ticket", "counter", ..."0123456789"]; // what says every call of counters with numbers
const PATIENCE_MS = 30_000;

const path = (branch, language, key) => `/app/voice/clips/${branch.id}/${language}/${encodeURIComponent(key)}`;

/** Store one file under the key that its name says; return what was wrong, "" if nothing was. */
async function store(branch, language, file) {
  const [, key, ending] = /^(.+)\.(\w+)$/.exec(file.name.toLowerCase()) ?? [];
  if (!TYPES[ending]) return `${file.name}: ${text("clips.kinds")}`;
  try {
    const answer = await fetch(path(branch, language, key), {
      method: "PUT",
      headers: { "Content-Type": TYPES[ending] },
      body: file,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.ok) return "";
    const told = await answer.json().catch(() => ({}));
    return [`${file.name}: ${told.message ?? answer.status}`, ...Object.values(told.details ?? {})].join(" – ");
  } catch {
    return `${file.name}: ${text("refusal.away")}`;
  }
}

export function Clips({ branches, onChange }) {
  return html`
    <section aria-labelledby="clips">
      <h2 id="clips">${text("clips.title")}</h2>
      <p>${text("clips.what")}</p>
      ${branches.map((branch) => html`<${Voice} key=${branch.id} branch=${branch} onChange=${onChange} />`)}
    </section>
  `;
}

function Voice({ branch, onChange }) {
  const [clips, setClips] = useState([]);
  const [language, setLanguage] = useState("vi");
  const [faults, setFaults] = useState([]);
  const [stored, setStored] = useState(0);
  const look = () =>
    ask("GET", `/app/voice/clips?branch_id=${branch.id}`).then(
      (told) => setClips(told.clips),
      () => {}, // the page says that the server is away
    );
  useEffect(() => void look(), [branch.id]);

  async function send(event) {
    event.preventDefault();
    const { files } = event.target;
    const wrong = [];
    for (const file of files.files) wrong.push(await store(branch, language, file));
    setFaults(wrong.filter(Boolean));
    setStored(wrong.filter((each) => !each).length);
    await look();
    files.value = "";
  }
  async function remove(clip) {
    if (await onChange("DELETE", path(branch, clip.language, clip.key))) await look();
  }
  const there = clips.filter((each) => each.language === language);
  const missing = NEEDED.filter((key) => !there.some((each) => each.key === key));
  return html`
    <form class="row" aria-label=${text("clips.of", { name: branch.name })} onSubmit=${send}>
      <label>${text("clips.language")}
        <select value=${language} onChange=${(event) => setLanguage(event.target.value)}>
          ${LANGUAGES.map((each) => html`<option key=${each} value=${each}>${text(`clips.${each}`)}</option>`)}
        </select>
      </label>
      <label>${text("clips.files")} <input type="file" name="files" accept=".wav,.mp3,.ogg" multiple required /></label>
      <button class="copy" type="submit">${text("clips.send")}</button>
    </form>
    <div role="status">
      ${stored > 0 && html`<p>${text("clips.stored", { n: stored })}</p>`}
      ${faults.map((each) => html`<p key=${each} class="notice refusal">${each}</p>`)}
    </div>
    ${there.length > 0 &&
    html`<p>${missing.length ? text("clips.missing", { keys: missing.join(", ") }) : text("clips.whole")}</p>
      <ul class="procedures">
        ${there.map(
          (each) => html`<li key=${each.key}>
            <span>${each.key}</span>
            <span class="soft">${each.counter_name ?? ""} ${!each.is_said && text("clips.stale")}</span>
            <span><a href=${each.url}>${text("clips.hear")}</a>
              <button type="button" class="quiet" aria-label=${text("clips.remove_one", { key: each.key })} onClick=${() => remove(each)}>${text("clips.remove")}</button></span>
          </li>`,
        )}
      </ul>`}
  `;
}
