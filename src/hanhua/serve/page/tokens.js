// The tokens of a text: how many before and after expansion, and which, as coloured pieces.

import { tokenize } from "./api.js";
import { explain } from "./answer.js";
import { button, element } from "./dom.js";
import { say, state } from "./state.js";

const COLOURS = 4;
const MOST_PIECES = 3000; // more than anyone reads, and what a browser draws at once

const open = new WeakSet(); // messages whose tokens are shown
const panels = new WeakMap(); // message -> {about, node}: asked once for a text

/** The button that shows and hides a message's tokens, by the tokenizers of some models. */
export function tokensButton(message, models) {
  const toggle = button("showTokens", () => {
    if (open.has(message)) open.delete(message);
    else open.add(message);
    const shown = open.has(message);
    toggle.setAttribute("aria-expanded", shown);
    if (shown) toggle.closest(".tools").after(tokensPanel(message, models));
    else panels.get(message)?.node.remove();
  });
  toggle.setAttribute("aria-expanded", open.has(message));
  return toggle;
}

/** The panel where it is open; null where it is not. */
export function tokensPanel(message, models) {
  if (!open.has(message) || !models.every(Boolean)) return null;
  const about = JSON.stringify([message.content, models.map((model) => model.id), state.settings.language]);
  if (panels.get(message)?.about !== about) {
    const node = element("div", { className: "tokens" }, element("span", { className: "dots", ariaLabel: say("thinking") }));
    panels.set(message, { about, node });
    fill(node, message, models);
  }
  return panels.get(message).node;
}

async function fill(node, message, models) {
  try {
    const counted = await count(message, models);
    node.replaceChildren(headline(counted), ...rows(counted), ...prompts(counted));
  } catch (error) {
    node.replaceChildren(element("p", { className: "error", role: "alert", textContent: explain(error) }));
  }
}

/** For each model {id, own, base, whole}: its tokens, its base's, and those of a question in its template. */
async function count({ role, content }, models) {
  const common = { return_token_strs: true };
  const plain = { ...common, prompt: content, add_special_tokens: false };
  const asked = (model, body) => tokenize({ ...body, model: model.id }, state.key);
  const system = state.chat.system?.trim() ? [{ role: "system", content: state.chat.system }] : [];
  const messages = [...system, { role, content }];
  return Promise.all(models.map(async (model) => ({
    id: model.id,
    own: await asked(model, plain),
    base: model.base_tokenizer ? await asked(model, { ...plain, tokenizer: "base" }) : null,
    whole: role === "user" && model.chats ? await asked(model, { ...common, messages }) : null,
  })));
}

function headline(counted) {
  const grown = counted.find(({ base }) => base);
  const after = (grown ?? counted[0]).own.count;
  const line = element("p", { className: "counts" });
  if (!grown) {
    line.append(element("strong", {}, String(after)), ` ${say("tokens")}`);
    return line;
  }
  const before = grown.base.count;
  const change = before ? Math.round(100 * (after / before - 1)) : 0;
  line.append(element("strong", {}, `${before} → ${after}`), ` ${say("tokens")} · ${say("beforeAfter")}`);
  if (change) line.append(` · ${change < 0 ? "−" : "+"}${Math.abs(change)} %`);
  return line;
}

/** [name, answer] pairs by how the text is cut, with the names of all that cut it so. */
function alike(pairs) {
  const found = new Map();
  for (const [name, answer] of pairs) {
    const cut = JSON.stringify(answer.token_strs);
    if (!found.has(cut)) found.set(cut, { names: new Set(), answer });
    found.get(cut).names.add(name);
  }
  return [...found.values()].map(({ names, answer }) => [`${[...names].join(" · ")}: ${answer.count}`, draw(answer)]);
}

function rows(counted) {
  const bases = counted.filter(({ base }) => base).map(({ base }) => [say("baseTokenizer"), base]);
  return alike([...bases, ...counted.map(({ id, own }) => [id, own])])
    .map(([name, pieces]) => element("div", { className: "cut" }, element("span", { className: "whose", textContent: name }), pieces));
}

/** Questions as the models get them, folded away. */
function prompts(counted) {
  return alike(counted.filter(({ whole }) => whole).map(({ id, whole }) => [id, whole])).map(([name, pieces]) =>
    element("details", { className: "cut" }, element("summary", { className: "whose", textContent: `${say("inTemplate")} · ${name}` }), pieces));
}

function draw({ token_strs: texts, tokens }) {
  const pieces = element("div", { className: "pieces" });
  pieces.append(...texts.slice(0, MOST_PIECES).map((text, i) => piece(text, i, tokens[i])));
  if (texts.length > MOST_PIECES) pieces.append("…");
  return pieces;
}

function piece(text, index, id) {
  const bytes = /^(⟨[0-9A-F]{2}⟩)+$/.test(text);
  // A line break is shown and kept; a space has the colour of its piece.
  return element("span", {
    className: `piece piece-${index % COLOURS}${bytes ? " bytes" : ""}`,
    textContent: text.replaceAll("\n", "↵\n"),
    title: `${say("tokenNumber")} ${id}`,
  });
}
