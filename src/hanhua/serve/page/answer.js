// One answer: streamed into its message, drawn as it comes, measured.

import { ask, Refused } from "./api.js";
import { element } from "./dom.js";
import { render } from "./markdown.js";
import { option, say, several, state } from "./state.js";

const live = new Set(); // messages whose answer is under way
const bodies = new WeakMap(); // message -> where its text is drawn
const BASE_TOKENS = 128; // a base model does not end by itself

export const isLive = (message) => live.has(message);

/** The page goes away: what has come so far of the answers under way is all that there will be. */
export function cutShort() {
  for (const message of live) message.facts = { end: "stopped" };
}

/** The element with a message's text; what comes later is drawn into it too. */
export function drawBody(message) {
  const body = element("div", { className: "body" });
  bodies.set(message, body);
  fill(body, message);
  return body;
}

function fill(body, message) {
  body.replaceChildren(render(message.content, say("copy")));
  if (!message.content && !message.error) {
    body.replaceChildren(isLive(message) ? element("span", { className: "dots", ariaLabel: say("thinking") }) : say("empty"));
  }
}

/** Path and body that ask a model for what follows some turns. */
export function request(model, turns, system) {
  const common = { temperature: Number(option("temperature", model)), top_p: Number(option("top_p", model)) };
  if (state.settings.max_tokens) common.max_tokens = state.settings.max_tokens;
  if (model && several()) common.model = model.id;
  if (model && !model.chats) {
    return ["v1/completions", { max_tokens: BASE_TOKENS, ...common, prompt: turns.at(-1).content }];
  }
  const head = system?.trim() ? [{ role: "system", content: system }] : [];
  return ["v1/chat/completions", { ...common, messages: [...head, ...turns] }];
}

/**
 * Stream an answer into message.content; at the end it has facts or error.
 * build(skipped) gives path and body without the first exchanges of a long conversation.
 */
export async function answerInto(message, build, signal, onDraw) {
  const clock = { begun: performance.now(), first: 0, pieces: 0 };
  let drawn = true;
  const onText = (text) => {
    clock.first ||= performance.now();
    clock.pieces += 1;
    message.content += text;
    // Drawing competes with a model on the same machine, so it is done 20 times a second at most.
    if (drawn) { drawn = false; setTimeout(() => { drawn = true; redraw(message, onDraw); }, 50); }
  };
  live.add(message);
  try {
    const { usage, end, skipped } = await askWithRoom(build, signal, onText);
    message.facts = { ...measure(clock, usage?.completion_tokens ?? clock.pieces, usage, end), skipped };
  } catch (error) {
    if (signal.aborted) message.facts = { ...measure(clock, clock.pieces, null, "stopped"), about: true };
    else message.error = explain(error);
  } finally {
    live.delete(message);
  }
}

/** Ask; where the conversation has outgrown the context, leave out its oldest exchanges. */
async function askWithRoom(build, signal, onText) {
  for (let skipped = 0; ; skipped += 1) {
    const [path, body] = build(skipped);
    try {
      return { ...await ask(path, body, state.key, signal, onText), skipped };
    } catch (error) {
      const turns = body.messages?.filter((turn) => turn.role !== "system").length ?? 1;
      if (error.code !== "context_length_exceeded" || turns < 3) throw error;
    }
  }
}

function redraw(message, onDraw) {
  const body = bodies.get(message);
  if (!body?.isConnected || !isLive(message)) return;
  fill(body, message);
  onDraw();
}

function measure(clock, tokens, usage, end) {
  const now = performance.now();
  const seconds = (now - clock.first) / 1000;
  const rate = clock.first && tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : null;
  return { tokens, rate, seconds: (now - clock.begun) / 1000, prompt: usage?.prompt_tokens, end };
}

/** Tokens, speed and end of an answer in a line; with its seconds where that is asked. */
export function describe(facts, withSeconds = false) {
  const parts = [];
  if (facts.tokens) parts.push(`${facts.about ? "≈" : ""}${facts.tokens} ${say("tokens")}`);
  if (withSeconds && facts.seconds) parts.push(`${facts.seconds.toFixed(1)} ${say("seconds")}`);
  if (facts.rate) parts.push(`${facts.rate.toFixed(1)} ${say("perSecond")}`);
  if (facts.prompt) parts.push(`${say("prompt")} ${facts.prompt}`);
  if (facts.skipped) parts.push(say("left"));
  if (facts.end === "length") parts.push(say("cut"));
  if (facts.end === "stopped") parts.push(say("stopped"));
  return parts.join(" · ");
}

export function explain(error) {
  if (error instanceof Refused && error.status === 401) return say("needKey");
  if (error.code === "context_length_exceeded") return say("tooLong");
  if (error instanceof Refused) return error.message;
  if (error instanceof TypeError) return say("offline");
  return `${say("failed")}: ${error.message}`;
}
