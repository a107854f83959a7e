// The sounds of a call or announcement: the hall's own clips, else the voice of the server. Each step has a deadline.

const PLAN_MS = 2_000;
const CLIPS_MS = 3_000;
const SPEECH_MS = 5_000;
const LATE_MS = 1_500; // beyond its own length; sound that hangs holds nobody up

/**
 * Return what says an announcement: words, where the server has better ones than those that are
 * shown, and sounds in order, none if the server has none.
 *
 * @param {AudioContext} audio
 * @param {{ticket?: {id: number}, announcement_id?: string}} data
 * @param {string} language
 * @returns {Promise<{text: string | null, sounds: AudioBuffer[]}>} never refused
 */
export async function prepare(audio, data, language) {
  const query = `?language=${language}`;
  if (!data.ticket) {
    const path = `/app/announcements/${data.announcement_id}/voice.wav${query}`;
    return { text: null, sounds: (await load(audio, [path], SPEECH_MS)) ?? [] };
  }
  const plan = await within(PLAN_MS, async (signal) => {
    const answer = await fetch(`/app/tickets/${data.ticket.id}/voice${query}`, { signal });
    return answer.ok ? answer.json() : null;
  });
  if (!plan) return { text: null, sounds: [] };
  const clips = plan.clips.length ? await load(audio, plan.clips, CLIPS_MS) : null;
  return { text: plan.text, sounds: clips ?? (await load(audio, [plan.speech], SPEECH_MS)) ?? [] };
}

/** Play sounds one right after the other; says whether they sounded to their end. */
export async function play(audio, sounds) {
  if (!sounds.length) return false;
  let at = audio.currentTime;
  const sources = sounds.map((buffer) => {
    const source = audio.createBufferSource();
    source.buffer = buffer;
    source.connect(audio.destination);
    source.start(at);
    at += buffer.duration;
    return source;
  });
  const length_ms = (at - audio.currentTime) * 1000;
  const ended = await within(length_ms + LATE_MS, () => isOver(sources.at(-1)));
  if (ended) return true;
  for (const source of sources) source.stop(); // or it would sound late, over another call
  return false;
}

const isOver = (source) =>
  new Promise((resolve) => {
    source.onended = () => resolve(true);
  });

/** Return all of these files as sounds, null if one of them is not to be had in time. */
function load(audio, paths, deadlineMs) {
  return within(deadlineMs, async (signal) => {
    const loaded = new Map(paths.map((path) => [path, null])); // a digit may come twice
    await Promise.all(
      [...loaded.keys()].map(async (path) => {
        const answer = await fetch(path, { signal });
        if (!answer.ok) throw new Error(`${answer.status} ${path}`);
        loaded.set(path, await audio.decodeAudioData(await answer.arrayBuffer()));
      }),
    );
    return paths.map((path) => loaded.get(path));
  });
}

/** Return what `work` comes to, null if it fails or is not done in time; it is told by its signal. */
async function within(deadlineMs, work) {
  const over = new AbortController();
  let timer = null;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => {
      over.abort();
      resolve(null);
    }, deadlineMs);
  });
  try {
    return await Promise.race([work(over.signal), late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
