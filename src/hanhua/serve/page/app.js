// The chat page: drawing and events. No library, no build, nothing from other hosts.

import { answerInto, cutShort, describe, drawBody, explain, isLive, request } from "./answer.js";
import { models } from "./api.js";
import { askAll, chosen, drawAnswers, drawChoice } from "./compare.js";
import { $, button, copy, copyButton, element } from "./dom.js";
import { find, option, say, served, set, several, state } from "./state.js";
import { loadChats, loadOpen, onChats, saveChats, saveKey, saveOpen, saveSettings } from "./store.js";
import { tokensButton, tokensPanel } from "./tokens.js";

// Language, theme, settings

function translate() {
  document.documentElement.lang = state.settings.language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = say(node.dataset.placeholder);
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", say(node.dataset.label));
    if (node.tagName === "BUTTON") node.title = say(node.dataset.label);
  }
  $("language").textContent = state.settings.language === "zh" ? "EN" : "中";
  draw();
}

function applyTheme() {
  if (state.settings.theme) document.documentElement.dataset.theme = state.settings.theme;
  else delete document.documentElement.dataset.theme;
}

function showSettings() {
  const model = served();
  $("system").value = state.chat.system ?? "";
  $("key").value = state.key;
  $("max_tokens").value = state.settings.max_tokens ?? "";
  $("max_tokens").max = model?.context_tokens ?? "";
  for (const name of ["temperature", "top_p"]) {
    $(name).value = option(name);
    $(`${name}-now`).textContent = Number(option(name)).toFixed(2);
  }
  const asked = comparing() ? chosen() : [model];
  $("system-field").hidden = model !== null && asked.every((one) => !one.chats);
}

/** Name or choice of models in the header, and what a side by side asks. */
function drawModels() {
  const choose = several() && !comparing();
  $("choose-model").hidden = !choose;
  $("model").hidden = choose;
  $("compare").hidden = !several() && !comparing();
  $("compare").setAttribute("aria-pressed", comparing());
  document.body.classList.toggle("comparing", comparing());
  $("choice").hidden = !comparing();
  if (comparing()) $("choice").replaceChildren(...drawChoice());
  if (!served()) return;
  $("model").textContent = comparing() ? say("compareTitle") : served().id;
  document.title = `${comparing() ? say("compareTitle") : served().id} · hanhua 汉化`;
  $("choose-model").replaceChildren(...state.models.map(({ id }) => element("option", { value: id, textContent: id })));
  $("choose-model").value = served().id;
  const base = !comparing() && !served().chats;
  $("input").placeholder = say(comparing() ? "askAll" : base ? "askBase" : "ask");
}

// Conversations

const comparing = () => Boolean(state.chat?.compare);

function newChat(compare = comparing()) {
  stop();
  const id = crypto.randomUUID?.() ?? String(Date.now());
  state.chat = { id, system: state.chat?.system ?? "", messages: [], ...(compare ? { compare } : {}) };
  state.editing = null;
  saveOpen(id);
  closeDrawer();
  draw();
  $("input").focus();
}

function openChat(found) {
  stop();
  state.chat = found;
  saveOpen(found.id);
  state.editing = null;
  state.follow = true;
  closeDrawer();
  draw();
}

function keep(chat = state.chat) {
  const { chats } = state;
  const at = chats.indexOf(chat);
  if (at > 0) chats.splice(at, 1);
  if (at !== 0) chats.unshift(chat);
  saveChats(chats);
}

function removeChat(found) {
  state.chats.splice(state.chats.indexOf(found), 1);
  saveChats(state.chats);
  if (found === state.chat) newChat();
  else drawList();
}

/** Take over what another tab has written, or the next save from here would undo it. */
function adopt() {
  const mine = new Map(state.chats.map((chat) => [chat.id, chat]));
  const busy = state.running ? state.chat : null;
  state.chats = loadChats().map((kept) => {
    const chat = mine.get(kept.id);
    return !chat ? kept : chat === busy ? chat : Object.assign(chat, kept);
  });
  if (busy && !state.chats.includes(busy)) state.chats.unshift(busy);
  if (state.running || state.editing !== null) drawList();
  else draw();
}

function closeDrawer() {
  document.body.classList.remove("drawer-open");
  $("shade").hidden = true;
}

// Drawing

function draw() {
  const { messages } = state.chat;
  drawModels();
  drawList();
  $("messages").replaceChildren(...(messages.length ? messages.map(drawMessage) : [drawWelcome()]));
  $("stop").hidden = !state.running;
  $("send").hidden = Boolean(state.running);
  scroll();
}

function drawList() {
  const rows = state.chats.map((found) => {
    const title = found.messages.find((message) => message.role === "user")?.content ?? "";
    const open = element("button", { type: "button", className: "title", textContent: title.slice(0, 60), onclick: () => openChat(found) });
    if (found.compare) open.prepend(element("span", { className: "mark", textContent: "⇄ ", title: say("compareTitle") }));
    if (found === state.chat) open.setAttribute("aria-current", "true");
    const remove = element("button", { type: "button", className: "icon", textContent: "×", title: say("remove"), onclick: () => removeChat(found) });
    remove.setAttribute("aria-label", say("remove"));
    return element("div", { className: "row" }, open, remove);
  });
  $("list").replaceChildren(...rows);
}

function drawWelcome() {
  const base = served() !== null && (comparing() ? chosen() : [served()]).every((model) => !model.chats);
  const examples = say(base ? "examplesBase" : "examples").map((text) =>
    element("button", { type: "button", className: "example", textContent: text, onclick: () => submit(text) }));
  const word = comparing() ? "welcomeCompare" : base ? "welcomeBase" : "welcome";
  const box = element("div", { className: "welcome" }, element("p", { textContent: say(word) }));
  if (comparing()) box.append(element("span", { className: "note", textContent: say("compareHint") }));
  box.append(element("div", { className: "examples" }, ...examples));
  return box;
}

function drawMessage(message, index) {
  const last = index === state.chat.messages.length - 1;
  if (message.role === "assistants") return drawAnswers(message, last, hooks(state.chat));
  const article = element("article", { className: message.role });
  if (state.editing === index) return article.append(drawEditor(message, index)), article;
  if (message.role === "user") article.append(element("div", { className: "body", textContent: message.content }));
  else article.append(drawBody(message));
  if (message.error) article.append(element("p", { className: "error", role: "alert", textContent: message.error }));
  if (isLive(message)) return article;
  article.append(drawTools(message, index, last));
  const panel = tokensPanel(message, tokenizers(message, index));
  if (panel) article.append(panel);
  return article;
}

/** The models whose tokenizers a message is shown with. */
function tokenizers(message, index) {
  const next = state.chat.messages[index + 1];
  const ids = next?.role === "assistants" ? next.answers.map(({ model }) => model) : [message.model];
  const found = ids.map(find).filter(Boolean);
  return found.length ? found : [served()];
}

function drawTools(message, index, last) {
  const tools = element("div", { className: "tools" });
  if (message.content) tools.append(copyButton(message.content));
  if (message.role === "user") tools.append(button("edit", () => { stop(); state.editing = index; draw(); }));
  if (message.role === "assistant" && last) tools.append(button(message.error ? "retry" : "regenerate", regenerate));
  if (message.content && served()) tools.append(tokensButton(message, tokenizers(message, index)));
  if (message.facts) {
    const who = message.model && several() ? `${message.model} · ` : "";
    tools.append(element("span", { className: "facts", textContent: who + describe(message.facts) }));
  }
  return tools;
}

function drawEditor(message, index) {
  const area = element("textarea", { value: message.content, rows: Math.min(12, message.content.split("\n").length + 1) });
  area.setAttribute("aria-label", say("edit"));
  const save = () => {
    if (!area.value.trim()) return;
    state.editing = null;
    state.chat.messages.length = index;
    submit(area.value);
  };
  const cancel = () => { state.editing = null; draw(); };
  area.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); save(); }
    if (event.key === "Escape") cancel();
  };
  queueMicrotask(() => area.focus());
  return element("div", { className: "editor" }, area,
    element("div", { className: "tools" }, button("save", save, ""), button("cancel", cancel)));
}

function scroll() {
  if (state.follow) $("messages").scrollTop = $("messages").scrollHeight;
}

// Asking

/** What an answer under way calls: it may end after another conversation was opened. */
const hooks = (chat) => ({
  keep: () => keep(chat),
  draw: () => { if (chat === state.chat) draw(); },
  drawn: scroll,
});

function submit(text) {
  if (state.running || !text.trim() || (comparing() && !several())) return;
  state.chat.messages.push({ role: "user", content: text.trim() });
  if (comparing()) askAll(text.trim(), hooks(state.chat));
  else answer();
}

function regenerate() {
  if (state.running) return;
  state.chat.messages.pop();
  answer();
}

function stop() {
  state.running?.abort();
  state.running = null;
}

async function answer() {
  const { chat } = state;
  const { keep: remember, draw: show, drawn } = hooks(chat);
  const control = new AbortController();
  const model = served();
  const message = { role: "assistant", content: "", ...(several() ? { model: model.id } : {}) };
  chat.messages.push(message);
  state.running = control;
  state.follow = true;
  // An exchange that failed is shown but not sent: it has no answer.
  const turns = chat.messages.slice(0, -1)
    .filter((one, i, all) => one.content && (one.role === "assistant" || i === all.length - 1 || all[i + 1].content))
    .map(({ role, content }) => ({ role, content }));
  const done = answerInto(message, (skipped) => request(model, turns.slice(2 * skipped), chat.system), control.signal, drawn);
  remember();
  show();
  await done;
  if (state.running === control) state.running = null;
  remember();
  show();
}

async function connect() {
  try {
    state.models = await models(state.key);
  } catch (error) {
    state.models = [];
    $("model").textContent = explain(error);
    if (error.status === 401) { showSettings(); $("settings").showModal(); $("key").focus(); }
  }
  translate();
}

// Events

$("composer").onsubmit = (event) => {
  event.preventDefault();
  if (state.running || !$("input").value.trim()) return;
  const text = $("input").value;
  $("input").value = "";
  grow();
  submit(text);
};
$("input").onkeydown = (event) => {
  // Enter that ends a pinyin composition must not send.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
};
function grow() {
  $("input").style.height = "auto";
  $("input").style.height = `${Math.min($("input").scrollHeight, 220)}px`;
}
$("input").oninput = grow;
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.running && !$("settings").open) { event.preventDefault(); stop(); }
  if (event.key === "Escape") closeDrawer();
});
$("stop").onclick = stop;
$("new").onclick = () => newChat();
$("compare").onclick = () => newChat(!comparing());
$("choose-model").onchange = () => { set("model", $("choose-model").value); draw(); };
$("menu").onclick = () => {
  document.body.classList.toggle("drawer-open");
  $("shade").hidden = !document.body.classList.contains("drawer-open");
};
$("shade").onclick = closeDrawer;
$("language").onclick = () => { set("language", state.settings.language === "zh" ? "en" : "zh"); translate(); };
$("theme").onclick = () => {
  const { theme } = state.settings;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  set("theme", dark ? "light" : "dark");
  applyTheme();
};
$("open-settings").onclick = () => { showSettings(); $("settings").showModal(); };
$("settings").onclose = () => { if (!served()) connect(); };
$("settings").onclick = (event) => { if (event.target === $("settings")) $("settings").close(); };
$("system").oninput = () => { state.chat.system = $("system").value; if (state.chat.messages.length) keep(); };
$("key").oninput = () => { state.key = $("key").value.trim(); saveKey(state.key); };
$("max_tokens").oninput = () => set("max_tokens", Math.floor(Number($("max_tokens").value)) || undefined);
for (const name of ["temperature", "top_p"]) {
  $(name).oninput = () => { set(name, Number($(name).value)); $(`${name}-now`).textContent = Number($(name).value).toFixed(2); };
}
$("defaults").onclick = () => {
  for (const name of ["temperature", "top_p", "max_tokens"]) delete state.settings[name];
  saveSettings(state.settings);
  showSettings();
};
$("export").onclick = () => {
  const file = new Blob([JSON.stringify(state.chats, null, 2)], { type: "application/json" });
  const anchor = element("a", { href: URL.createObjectURL(file), download: "hanhua-chats.json" });
  anchor.click();
  URL.revokeObjectURL(anchor.href);
};
$("messages").onscroll = () => {
  const { scrollTop, scrollHeight, clientHeight } = $("messages");
  state.follow = scrollHeight - scrollTop - clientHeight < 40;
};
$("messages").onclick = (event) => {
  if (event.target.className === "copy-code") copy(event.target.closest(".code").querySelector("code").textContent, event.target);
};

onChats(adopt);
addEventListener("pagehide", () => {
  if (!state.running) return;
  cutShort();
  saveChats(state.chats);
});

applyTheme();
const last = state.chats.find(({ id }) => id === loadOpen());
if (last) openChat(last);
else newChat();
connect();
