// Markdown to DOM nodes. Text only ever becomes text nodes, so nothing in it can become markup.

const make = (tag, ...children) => {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
};

/** Render Markdown as a fragment; copyLabel makes the button of a code block. */
export function render(text, copyLabel) {
  const out = document.createDocumentFragment();
  try {
    out.append(...blocks(text.replace(/\r\n?/g, "\n").split("\n"), copyLabel));
  } catch (error) { // nested deeper than the browser can follow: as plain text
    if (!(error instanceof RangeError)) throw error;
    out.append(make("p", ...lineBreaks(text)));
  }
  return out;
}

function blocks(lines, copyLabel) {
  const found = [];
  let at = 0;
  const take = (test) => {
    const start = at;
    while (at < lines.length && test(lines[at], at)) at += 1;
    return lines.slice(start, at);
  };
  while (at < lines.length) {
    const line = lines[at];
    const fence = line.match(/^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/);
    const heading = line.match(/^(#{1,6})\s+(.+?)\s*#*$/);
    if (!line.trim()) {
      at += 1;
    } else if (fence) {
      at += 1;
      const body = take((l) => !(l.trim().startsWith(fence[1]) && !l.trim().replace(/[`~]/g, "")));
      at += 1;
      found.push(codeBlock(body.join("\n"), fence[2], copyLabel));
    } else if (heading) {
      at += 1;
      found.push(make(`h${Math.min(6, heading[1].length + 2)}`, ...inline(heading[2])));
    } else if (/^ {0,3}([-*_])( *\1){2,} *$/.test(line)) {
      at += 1;
      found.push(make("hr"));
    } else if (/^ {0,3}>/.test(line)) {
      const body = take((l) => /^ {0,3}>/.test(l)).map((l) => l.replace(/^ {0,3}> ?/, ""));
      found.push(make("blockquote", ...blocks(body, copyLabel)));
    } else if (LIST.test(line)) {
      const body = take((l, i) => LIST.test(l) || (/^\s{2,}\S/.test(l)) || (!l.trim() && IN_LIST.test(lines[i + 1] ?? "")));
      found.push(list(body, copyLabel));
    } else if (startsTable(lines, at)) {
      found.push(table(take((l) => l.includes("|"))));
    } else {
      const first = at;
      const body = take((l, i) => i === first || (l.trim() && !startsBlock(l) && !startsTable(lines, i)));
      found.push(make("p", ...inline(body.join("\n"))));
    }
  }
  return found;
}

const LIST = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const IN_LIST = /^\s*([-*+]|\d{1,9}[.)])\s+|^\s{2,}\S/; // an item, or what belongs to the one before
const startsTable = (lines, at) =>
  lines[at].includes("|") && /^[\s|:-]*-[\s|:-]*$/.test(lines[at + 1] ?? "") && lines[at + 1].includes("|");
const startsBlock = (l) => /^ {0,3}(`{3,}|~{3,}|>|#{1,6}\s)/.test(l) || LIST.test(l);

function codeBlock(text, language, copyLabel) {
  const button = make("button", copyLabel);
  button.type = "button";
  button.className = "copy-code";
  const head = make("div", make("span", language || ""), button);
  head.className = "code-head";
  const block = make("div", head, make("pre", make("code", text)));
  block.className = "code";
  return block;
}

function list(lines, copyLabel) {
  const indent = lines[0].match(LIST)[1].length;
  const ordered = /\d/.test(lines[0].match(LIST)[2]);
  const root = make(ordered ? "ol" : "ul");
  if (ordered) root.start = parseInt(lines[0].match(LIST)[2], 10);
  let item = null;
  for (const line of lines) {
    const match = line.match(LIST);
    if (match && match[1].length <= indent + 1) {
      item = { first: match[3], rest: [] };
      root.append(item.node = make("li"));
      item.node.source = item;
    } else if (item) {
      item.rest.push(line.replace(/^\s{2,4}/, ""));
    }
  }
  for (const node of root.children) {
    node.append(...inline(node.source.first));
    if (node.source.rest.some((l) => l.trim())) node.append(...blocks(node.source.rest, copyLabel));
    delete node.source;
  }
  return root;
}

/** About how wide a text is: a Han character takes one em, a Latin letter half of one. */
const ems = (text) => [...text].reduce((sum, letter) => sum + (letter > "\u2e7f" ? 1 : 0.55), 0).toFixed(1);

function table(lines) {
  // \| is a bar in a cell and no border.
  const cells = (line) =>
    line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.replaceAll("\\|", "|").trim());
  const row = (tag, line) => make("tr", ...cells(line).map((cell) => {
    const node = make(tag, ...inline(cell));
    node.style.setProperty("--wide", `${ems(cell)}em`);
    return node;
  }));
  const body = make("tbody", ...lines.slice(2).map((line) => row("td", line)));
  const holder = make("div", make("table", make("thead", row("th", lines[0])), body));
  holder.className = "table";
  return holder;
}

const INLINE = /(`+)([\s\S]+?)\1(?!`)|\*\*([^\s*][\s\S]*?)\*\*|~~([^~]+)~~|\*([^\s*](?:[^*]*[^\s*])?)\*|(?<![\w])_([^\s_](?:[^_]*[^\s_])?)_(?![\w])|\[([^\]\n]+)\]\((https?:\/\/(?:[^\s()]|\([^\s()]*\))+)\)|(https?:\/\/[^\s<>"'`，。！？；：、）】》]+[^\s<>"'`，。！？；：、）】》.,!?;:)])/g;

function inline(text) {
  const found = [];
  let last = 0;
  for (const match of text.matchAll(INLINE)) {
    found.push(...lineBreaks(text.slice(last, match.index)));
    last = match.index + match[0].length;
    const [whole, , code, bold, struck, italic, italic2, label, href, bare] = match;
    if (code !== undefined) found.push(make("code", code.replace(/^ (.+) $/, "$1")));
    else if (bold !== undefined) found.push(make("strong", ...inline(bold)));
    else if (struck !== undefined) found.push(make("del", ...inline(struck)));
    else if (italic ?? italic2) found.push(make("em", ...inline(italic ?? italic2)));
    else if (href ?? bare) found.push(link(label ?? bare, href ?? bare));
    else found.push(whole);
  }
  return [...found, ...lineBreaks(text.slice(last))];
}

function lineBreaks(text) {
  return text.split("\n").flatMap((line, i) => (i ? [make("br"), line] : [line])).filter((part) => part !== "");
}

function link(text, href) {
  const node = make("a", text);
  node.href = href;
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  return node;
}
