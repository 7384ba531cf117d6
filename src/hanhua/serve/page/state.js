// What the page knows: settings, conversations, the served models, and what is under way.

import { loadChats, loadKey, loadSettings, saveSettings } from "./store.js";
import { WORDS } from "./words.js";

export const state = {
  settings: { language: navigator.language.startsWith("zh") ? "zh" : "en", ...loadSettings() },
  chats: loadChats(),
  key: loadKey(),
  models: [], // as /v1/models lists them, the main one first
  chat: null, // the open conversation; one of several models has compare: true
  running: null, // AbortController of what is under way
  editing: null, // index of the message being edited
  follow: true, // scroll along with the answer
};

export const say = (word) => (WORDS[state.settings.language] ?? WORDS.en)[word];

export function set(name, value) {
  state.settings[name] = value;
  saveSettings(state.settings);
}

export const find = (id) => state.models.find((model) => model.id === id);

/** The model that a plain conversation asks: the one chosen, else the main one; null before any is known. */
export const served = () => find(state.settings.model) ?? state.models[0] ?? null;

export const several = () => state.models.length > 1;

export const option = (name, model = served()) => state.settings[name] ?? model?.[name] ?? 1;
