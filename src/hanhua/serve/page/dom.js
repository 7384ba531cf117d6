// Small helpers over the document.

import { say } from "./state.js";

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export const button = (word, act, className = "quiet") =>
  element("button", { type: "button", className, textContent: say(word), onclick: act });

export const copyButton = (text) => button("copy", (event) => copy(text, event.target));

export async function copy(text, target) {
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
