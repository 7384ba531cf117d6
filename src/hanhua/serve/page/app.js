// The chat page: state, drawing and events. No library, no build, nothing from other hosts.

import { ask, model, Refused } from "./api.js";
import { render } from "./markdown.js";
import { loadChats, loadKey, loadSettings, saveChats, saveKey, saveSettings } from "./store.js";
import { WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const settings = { language: navigator.language.startsWith("zh") ? "zh" : "en", ...loadSettings() };
const chats = loadChats();
let key = loadKey();
let served = null;
let chat = null; // the open conversation
let running = null; // AbortController of the answer under way
let editing = null; // index of the message being edited
let follow = true; // scroll along with the answer

const say = (word) => (WORDS[settings.language] ?? WORDS.en)[word];

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const button = (word, act, className = "quiet") =>
  element("button", { type: "button", className, textContent: say(word), onclick: act });

// Language, theme, settings

function translate() {
  document.documentElement.lang = settings.language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = say(node.dataset.placeholder);
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", say(node.dataset.label));
    if (node.tagName === "BUTTON") node.title = say(node.dataset.label);
  }
  $("language").textContent = settings.language === "zh" ? "EN" : "中";
  if (served && !served.chats) $("input").placeholder = say("askBase");
  draw();
}

function applyTheme() {
  if (settings.theme) document.documentElement.dataset.theme = settings.theme;
  else delete document.documentElement.dataset.theme;
}

function set(name, value) {
  settings[name] = value;
  saveSettings(settings);
}

const option = (name) => settings[name] ?? served?.[name] ?? 1;

function showSettings() {
  $("system").value = chat.system ?? "";
  $("key").value = key;
  $("max_tokens").value = settings.max_tokens ?? "";
  $("max_tokens").max = served?.context_tokens ?? "";
  for (const name of ["temperature", "top_p"]) {
    $(name).value = option(name);
    $(`${name}-now`).textContent = Number(option(name)).toFixed(2);
  }
  $("system-field").hidden = served !== null && !served.chats;
}

// Conversations

function newChat() {
  stop();
  chat = { id: crypto.randomUUID?.() ?? String(Date.now()), system: chat?.system ?? "", messages: [] };
  editing = null;
  closeDrawer();
  draw();
  $("input").focus();
}

function openChat(found) {
  stop();
  chat = found;
  editing = null;
  follow = true;
  closeDrawer();
  draw();
}

function keep() {
  const at = chats.indexOf(chat);
  if (at > 0) chats.splice(at, 1);
  if (at !== 0) chats.unshift(chat);
  saveChats(chats);
}

function removeChat(found) {
  chats.splice(chats.indexOf(found), 1);
  saveChats(chats);
  if (found === chat) newChat();
  else drawList();
}

function closeDrawer() {
  document.body.classList.remove("drawer-open");
  $("shade").hidden = true;
}

// Drawing

function draw() {
  drawList();
  $("messages").replaceChildren(...(chat.messages.length ? chat.messages.map(drawMessage) : [drawWelcome()]));
  $("stop").hidden = !running;
  $("send").hidden = Boolean(running);
  scroll();
}

function drawList() {
  const rows = chats.map((found) => {
    const title = found.messages.find((message) => message.role === "user")?.content ?? "";
    const open = element("button", { type: "button", className: "title", textContent: title.slice(0, 60), onclick: () => openChat(found) });
    if (found === chat) open.setAttribute("aria-current", "true");
    const remove = element("button", { type: "button", className: "icon", textContent: "×", title: say("remove"), onclick: () => removeChat(found) });
    remove.setAttribute("aria-label", say("remove"));
    return element("div", { className: "row" }, open, remove);
  });
  $("list").replaceChildren(...rows);
}

function drawWelcome() {
  const base = served !== null && !served.chats;
  const examples = say(base ? "examplesBase" : "examples").map((text) =>
    element("button", { type: "button", className: "example", textContent: text, onclick: () => submit(text) }));
  return element("div", { className: "welcome" },
    element("p", { textContent: say(base ? "welcomeBase" : "welcome") }), element("div", { className: "examples" }, ...examples));
}

function drawMessage(message, index) {
  const article = element("article", { className: message.role });
  if (editing === index) return article.append(drawEditor(message, index)), article;
  const body = element("div", { className: "body" });
  if (message.role === "user") body.textContent = message.content;
  else fill(body, message);
  article.append(body);
  if (message.error) article.append(element("p", { className: "error", role: "alert", textContent: message.error }));
  const last = index === chat.messages.length - 1;
  const live = running && last;
  if (!live) article.append(drawTools(message, index, last));
  return article;
}

function fill(body, message) {
  body.replaceChildren(render(message.content, say("copy")));
  if (!message.content && !message.error) {
    const waiting = running && message === chat.messages.at(-1);
    body.replaceChildren(waiting ? element("span", { className: "dots", ariaLabel: say("thinking") }) : say("empty"));
  }
}

function drawTools(message, index, last) {
  const tools = element("div", { className: "tools" });
  if (message.content) tools.append(button("copy", (event) => copy(message.content, event.target)));
  if (message.role === "user") tools.append(button("edit", () => { stop(); editing = index; draw(); }));
  if (message.role === "assistant" && last) tools.append(button(message.error ? "retry" : "regenerate", regenerate));
  if (message.facts) tools.append(element("span", { className: "facts", textContent: describe(message.facts) }));
  return tools;
}

function describe(facts) {
  const parts = [];
  if (facts.tokens) parts.push(`${facts.about ? "≈" : ""}${facts.tokens} ${say("tokens")}`);
  if (facts.rate) parts.push(`${facts.rate.toFixed(1)} ${say("perSecond")}`);
  if (facts.prompt) parts.push(`${say("prompt")} ${facts.prompt}`);
  if (facts.skipped) parts.push(say("left"));
  if (facts.end === "length") parts.push(say("cut"));
  if (facts.end === "stopped") parts.push(say("stopped"));
  return parts.join(" · ");
}

function drawEditor(message, index) {
  const area = element("textarea", { value: message.content, rows: Math.min(12, message.content.split("\n").length + 1) });
  area.setAttribute("aria-label", say("edit"));
  const save = () => {
    if (!area.value.trim()) return;
    editing = null;
    chat.messages.length = index;
    submit(area.value);
  };
  const cancel = () => { editing = null; draw(); };
  area.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); save(); }
    if (event.key === "Escape") cancel();
  };
  queueMicrotask(() => area.focus());
  return element("div", { className: "editor" }, area,
    element("div", { className: "tools" }, button("save", save, ""), button("cancel", cancel)));
}

function scroll() {
  if (follow) $("messages").scrollTop = $("messages").scrollHeight;
}

async function copy(text, target) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no clipboard without https: the old way
    const area = element("textarea", { value: text, className: "offscreen" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  target.textContent = say("copied");
  setTimeout(() => { target.textContent = say("copy"); }, 1200);
}

// Asking

function submit(text) {
  if (running || !text.trim()) return;
  chat.messages.push({ role: "user", content: text.trim() });
  answer();
}

function regenerate() {
  if (running) return;
  chat.messages.pop();
  answer();
}

function stop() {
  running?.abort();
  running = null;
}

/** Path and body of the request, without the first exchanges of a long conversation. */
function request(skipped) {
  const common = { temperature: Number(option("temperature")), top_p: Number(option("top_p")) };
  if (settings.max_tokens) common.max_tokens = settings.max_tokens;
  if (served && !served.chats) {
    const prompt = chat.messages.at(-2).content;
    return ["v1/completions", { max_tokens: 128, ...common, prompt }];
  }
  // An exchange that failed is shown but not sent: it has no answer.
  const turns = chat.messages.slice(0, -1)
    .filter((message, i, all) => message.content && (message.role === "assistant" || i === all.length - 1 || all[i + 1].content))
    .map(({ role, content }) => ({ role, content }));
  const head = chat.system?.trim() ? [{ role: "system", content: chat.system }] : [];
  return ["v1/chat/completions", { ...common, messages: [...head, ...turns.slice(2 * skipped)] }];
}

/** Ask; where the conversation has outgrown the context, leave out its oldest exchanges. */
async function askWithRoom(signal, onText) {
  for (let skipped = 0; ; skipped += 1) {
    const [path, body] = request(skipped);
    try {
      return { ...await ask(path, body, key, signal, onText), skipped };
    } catch (error) {
      const turns = body.messages?.filter((turn) => turn.role !== "system").length ?? 1;
      if (error.code !== "context_length_exceeded" || turns < 3) throw error;
    }
  }
}

async function answer() {
  const message = { role: "assistant", content: "" };
  const mine = chat;
  const control = new AbortController();
  const clock = { first: 0, pieces: 0 };
  mine.messages.push(message);
  running = control;
  follow = true;
  keep();
  draw();
  let drawn = true;
  const onText = (text) => {
    clock.first ||= performance.now();
    clock.pieces += 1;
    message.content += text;
    // Drawing competes with a model on the same machine, so it is done 20 times a second at most.
    if (drawn) { drawn = false; setTimeout(() => { drawn = true; redraw(mine, message); }, 50); }
  };
  try {
    const { usage, end, skipped } = await askWithRoom(control.signal, onText);
    message.facts = { ...measure(clock, usage?.completion_tokens ?? clock.pieces, usage, end), skipped };
  } catch (error) {
    if (control.signal.aborted) message.facts = { ...measure(clock, clock.pieces, null, "stopped"), about: true };
    else message.error = explain(error);
  }
  if (running === control) running = null;
  keep();
  if (mine === chat) draw();
}

function redraw(mine, message) {
  const article = $("messages").lastElementChild;
  if (mine !== chat || message !== chat.messages.at(-1) || !article) return;
  if (running) fill(article.querySelector(".body"), message);
  scroll();
}

function measure(clock, tokens, usage, end) {
  const seconds = (performance.now() - clock.first) / 1000;
  const rate = clock.first && tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : null;
  return { tokens, rate, prompt: usage?.prompt_tokens, end };
}

function explain(error) {
  if (error instanceof Refused && error.status === 401) return say("needKey");
  if (error.code === "context_length_exceeded") return say("tooLong");
  if (error instanceof Refused) return error.message;
  if (error instanceof TypeError) return say("offline");
  return `${say("failed")}: ${error.message}`;
}

async function connect() {
  try {
    served = await model(key);
    $("model").textContent = served.id;
    document.title = `${served.id} · hanhua 汉化`;
  } catch (error) {
    served = null;
    $("model").textContent = explain(error);
    if (error.status === 401) { showSettings(); $("settings").showModal(); $("key").focus(); }
  }
  translate();
}

// Events

$("composer").onsubmit = (event) => {
  event.preventDefault();
  if (running || !$("input").value.trim()) return;
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
  if (event.key === "Escape" && running && !$("settings").open) { event.preventDefault(); stop(); }
  if (event.key === "Escape") closeDrawer();
});
$("stop").onclick = stop;
$("new").onclick = newChat;
$("menu").onclick = () => {
  document.body.classList.toggle("drawer-open");
  $("shade").hidden = !document.body.classList.contains("drawer-open");
};
$("shade").onclick = closeDrawer;
$("language").onclick = () => { set("language", settings.language === "zh" ? "en" : "zh"); translate(); };
$("theme").onclick = () => {
  const dark = settings.theme ? settings.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  set("theme", dark ? "light" : "dark");
  applyTheme();
};
$("open-settings").onclick = () => { showSettings(); $("settings").showModal(); };
$("settings").onclose = () => { if (!served) connect(); };
$("settings").onclick = (event) => { if (event.target === $("settings")) $("settings").close(); };
$("system").oninput = () => { chat.system = $("system").value; if (chat.messages.length) keep(); };
$("key").oninput = () => { key = $("key").value.trim(); saveKey(key); };
$("max_tokens").oninput = () => set("max_tokens", Math.floor(Number($("max_tokens").value)) || undefined);
for (const name of ["temperature", "top_p"]) {
  $(name).oninput = () => { set(name, Number($(name).value)); $(`${name}-now`).textContent = Number($(name).value).toFixed(2); };
}
$("defaults").onclick = () => {
  for (const name of ["temperature", "top_p", "max_tokens"]) delete settings[name];
  saveSettings(settings);
  showSettings();
};
$("export").onclick = () => {
  const file = new Blob([JSON.stringify(chats, null, 2)], { type: "application/json" });
  const anchor = element("a", { href: URL.createObjectURL(file), download: "hanhua-chats.json" });
  anchor.click();
  URL.revokeObjectURL(anchor.href);
};
$("messages").onscroll = () => {
  const { scrollTop, scrollHeight, clientHeight } = $("messages");
  follow = scrollHeight - scrollTop - clientHeight < 40;
};
$("messages").onclick = (event) => {
  if (event.target.className === "copy-code") copy(event.target.closest(".code").querySelector("code").textContent, event.target);
};

applyTheme();
chat = { id: "first", system: "", messages: [] };
newChat();
connect();
