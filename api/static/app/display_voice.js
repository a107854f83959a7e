// What a display says aloud: a chime, then the words in both languages, one call after the other.
//
// Browsers sound only after somebody touched the page. Words are said by the hall's clips, else by the
// server, else by the voices of the machine, where it has one of the language; the chime needs none.

import { signal } from "@preact/signals";

import { play, prepare } from "./display_sounds.js";

const STALE_MS = 15_000; // a call that is older is on the screen, and no longer said
const WAITING_MAX = 20;
const NOTES_HZ = [784, 659, 523];
const PATIENCE_MS = 12_000; // of one sentence; a voice that hangs holds nobody up
const LANGUAGES = [
  ["vi", "message"],
  ["en", "message_en"],
];

export const isSounding = signal(false);
const waiting = [];
let sound = null;
let isSpeaking = false;

/** Begin to sound: to be called by a touch. */
export function startSound() {
  sound ??= new AudioContext();
  sound.resume();
  isSounding.value = true;
  chime();
}

/** Say an announcement once it is its turn. */
export function say(data) {
  if (!isSounding.value) return;
  if (waiting.length >= WAITING_MAX) waiting.shift();
  waiting.push(data);
  speak();
}

const isStale = (data) => Date.now() - Date.parse(data.timestamp) > STALE_MS;

async function speak() {
  if (isSpeaking) return;
  isSpeaking = true;
  try {
    while (waiting.length) {
      const data = waiting.shift();
      if (isStale(data)) continue;
      await sayAloud(data);
    }
  } finally {
    isSpeaking = false; // or one call that cannot be said would silence all others
  }
}

async function sayAloud(data) {
  // What was said in one language only is not read by a voice of the other.
  const languages = LANGUAGES.filter(([, field]) => field === "message" || data[field] !== data.message);
  // While the chime sounds.
  const coming = languages.map(([language]) => prepare(sound, data, language));
  await chime();
  for (const [i, [language, field]] of languages.entries()) {
    const { text, sounds } = await coming[i];
    // The one before, or this one's coming, may have taken long.
    if (data.ticket && isStale(data)) return;
    if (!(await play(sound, sounds))) await utter(language, text ?? data[field]);
  }
}

function chime() {
  NOTES_HZ.forEach((frequency, i) => {
    const at = sound.currentTime + i * 0.35;
    const [tone, level] = [sound.createOscillator(), sound.createGain()];
    tone.frequency.value = frequency;
    level.gain.setValueAtTime(0.3, at);
    level.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
    tone.connect(level).connect(sound.destination);
    tone.start(at);
    tone.stop(at + 0.5);
  });
  return new Promise((resolve) => setTimeout(resolve, 1_200));
}

function utter(language, words) {
  const voice = globalThis.speechSynthesis?.getVoices().find((each) => each.lang.toLowerCase().startsWith(language));
  if (!voice || !words) return Promise.resolve();
  return new Promise((resolve) => {
    const utterance = new SpeechSynthesisUtterance(words);
    utterance.voice = voice;
    utterance.lang = voice.lang;
    const impatience = setTimeout(() => {
      speechSynthesis.cancel(); // or it would sound late, over another call
      resolve();
    }, PATIENCE_MS);
    utterance.onend = utterance.onerror = () => {
      clearTimeout(impatience);
      resolve();
    };
    speechSynthesis.speak(utterance);
  });
}
