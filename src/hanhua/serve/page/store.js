// What the browser keeps: conversations and settings. The server keeps nothing.

const CHATS = "hanhua.chats";
const SETTINGS = "hanhua.settings";
const KEY = "hanhua.key";
const OPEN = "hanhua.open";
const MOST_CHATS = 100;

function read(storage, name, otherwise) {
  try {
    return JSON.parse(storage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function write(storage, name, value) {
  try {
    storage.setItem(name, JSON.stringify(value));
  } catch {
    // full or forbidden: the conversation goes on, it is only not kept
  }
}

export const loadChats = () => read(localStorage, CHATS, []);
export const saveChats = (chats) =>
  write(localStorage, CHATS, chats.filter((chat) => chat.messages.length).slice(0, MOST_CHATS));
export const loadSettings = () => read(localStorage, SETTINGS, {});
export const saveSettings = (settings) => write(localStorage, SETTINGS, settings);
/** Call when another tab has written conversations. */
export const onChats = (act) =>
  addEventListener("storage", ({ key }) => { if (key === CHATS || key === null) act(); });
// A key is kept for the tab only, and so is which conversation is open.
export const loadKey = () => read(sessionStorage, KEY, "");
export const saveKey = (key) => write(sessionStorage, KEY, key);
export const loadOpen = () => read(sessionStorage, OPEN, null);
export const saveOpen = (id) => write(sessionStorage, OPEN, id);
