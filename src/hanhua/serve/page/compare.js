// Side by side: one question to several models at once, their answers in columns.

import { answerInto, describe, drawBody, isLive, request } from "./answer.js";
import { button, copyButton, element } from "./dom.js";
import { find, say, set, several, state } from "./state.js";
import { tokensButton, tokensPanel } from "./tokens.js";

const columns = new WeakMap(); // answer -> its column
const FEWEST = 2;

/** The models that are asked: those ticked, all of them where fewer than two are. */
export function chosen() {
  const ticked = state.models.filter((model) => state.settings.compare?.includes(model.id));
  return ticked.length < FEWEST ? state.models : ticked;
}

/** The row of models with a tick each; two at least stay ticked. */
export function drawChoice() {
  if (!several()) return [element("span", { className: "note", textContent: say("needTwo") })];
  const models = chosen();
  return state.models.map((model) => {
    const ticked = models.includes(model);
    const box = element("input", { type: "checkbox", checked: ticked, disabled: ticked && models.length <= FEWEST });
    box.onchange = () => {
      const now = state.models.filter((other) => (other === model ? box.checked : models.includes(other)));
      set("compare", now.map((other) => other.id));
      box.closest("#choice").replaceChildren(...drawChoice());
    };
    return element("label", { className: "chip" }, box, model.id);
  });
}

/** Ask every chosen model; the answers stand in one message. */
export function askAll(question, hooks) {
  const answers = chosen().map((model) => ({ model: model.id, content: "" }));
  state.chat.messages.push({ role: "assistants", answers });
  return run(question, answers, hooks);
}

/** hooks: draw after the begin and the end, drawn after each piece, keep to remember. */
async function run(question, answers, hooks) {
  const control = new AbortController();
  const { system } = state.chat;
  state.running = control;
  state.follow = true;
  const streams = answers.map((answer) => {
    const turns = [{ role: "user", content: question }];
    return answerInto(answer, () => request(find(answer.model), turns, system), control.signal, hooks.drawn)
      .then(() => { if (state.running === control) refresh(answer, hooks); });
  });
  hooks.keep();
  hooks.draw();
  await Promise.all(streams);
  if (state.running === control) state.running = null;
  hooks.keep();
  hooks.draw();
}

function again(answers, hooks) {
  const { messages } = state.chat;
  if (state.running) return;
  for (const answer of answers) {
    answer.content = "";
    delete answer.facts;
    delete answer.error;
  }
  run(messages.at(-2).content, answers, hooks);
}

/** A message with the answers of several models. */
export function drawAnswers(message, last, hooks) {
  const article = element("article", { className: "assistants" });
  const grid = element("div", { className: "columns" });
  grid.append(...message.answers.map((answer) => drawColumn(answer, last, hooks)));
  article.append(grid);
  if (last && !state.running && message.answers.every((answer) => find(answer.model))) {
    article.append(element("div", { className: "tools" }, button("regenerateAll", () => again(message.answers, hooks))));
  }
  return article;
}

function refresh(answer, hooks) {
  const old = columns.get(answer);
  if (old?.isConnected) old.replaceWith(drawColumn(answer, true, hooks));
}

function drawColumn(answer, last, hooks) {
  const model = find(answer.model);
  const head = element("h3", {}, answer.model);
  const column = element("section", { className: "column" }, head);
  column.setAttribute("aria-label", answer.model);
  if (model && !model.chats) column.append(element("p", { className: "note", textContent: say("plainText") }));
  column.append(drawBody(answer));
  if (answer.error) column.append(element("p", { className: "error", role: "alert", textContent: answer.error }));
  if (!isLive(answer)) {
    column.append(drawTools(answer, last && model, hooks));
    const panel = tokensPanel(answer, [model]);
    if (panel) column.append(panel);
  }
  columns.set(answer, column);
  return column;
}

function drawTools(answer, mayRepeat, hooks) {
  const tools = element("div", { className: "tools" });
  if (answer.content) tools.append(copyButton(answer.content));
  if (mayRepeat && !state.running) tools.append(button(answer.error ? "retry" : "regenerate", () => again([answer], hooks)));
  if (answer.content && find(answer.model)) tools.append(tokensButton(answer, [find(answer.model)]));
  if (answer.facts) tools.append(element("span", { className: "facts", textContent: describe(answer.facts, true) }));
  return tools;
}
