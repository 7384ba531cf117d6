// The three calls that the page makes, with server-sent events read as they come.

export class Refused extends Error {
  constructor(status, message, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const headers = (key) => ({
  "Content-Type": "application/json",
  ...(key ? { Authorization: `Bearer ${key}` } : {}),
});

/** The served models: id, context_tokens, chats, temperature, top_p, base_tokenizer; the main one first. */
export async function models(key) {
  const answer = await fetch("v1/models", { headers: headers(key) });
  await check(answer);
  return (await answer.json()).data;
}

/** The tokens of a text: count, tokens, token_strs. */
export async function tokenize(body, key) {
  const answer = await fetch("tokenize", { method: "POST", headers: headers(key), body: JSON.stringify(body) });
  await check(answer);
  return answer.json();
}

/** Ask, and call onText with each piece. Resolves to {usage, end}; aborting rejects. */
export async function ask(path, body, key, signal, onText) {
  const answer = await fetch(path, {
    method: "POST",
    headers: headers(key),
    signal,
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
  });
  await check(answer);
  let usage = null;
  let end = null;
  for await (const data of events(answer.body)) {
    if (data.error) throw new Refused(500, data.error.message);
    usage = data.usage ?? usage;
    for (const choice of data.choices) {
      const text = choice.delta?.content ?? choice.text;
      if (text) onText(text);
      end = choice.finish_reason ?? end;
    }
  }
  return { usage, end };
}

async function check(answer) {
  if (answer.ok) return;
  const body = await answer.json().catch(() => null);
  throw new Refused(answer.status, body?.error?.message ?? answer.statusText, body?.error?.code);
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const lines = held.split("\n");
    held = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      if (line === "data: [DONE]") return;
      yield JSON.parse(line.slice(6));
    }
  }
}
