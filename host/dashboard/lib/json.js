// JSON as text. Payloads and configurations are shown and kept digit by digit: a parsed number could lose some.

const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
const SCALAR = /[^\s,\]}:"[{]+/y;
const SPACE = /\s*/y;

/** The tokens of a JSON text, one after the other; never recursive, so depth does not matter. */
function* tokens(text) {
  let at = 0;
  const take = (pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  for (;;) {
    at += take(SPACE).length;
    if (at >= text.length) return;
    const start = at;
    const char = text[at];
    if (char === '"') {
      const string = take(STRING);
      if (string === undefined) throw new SyntaxError(`The string that begins at character ${at} has no end.`);
      at += string.length;
    } else if ('{}[],:'.includes(char)) {
      at += 1;
    } else {
      at += take(SCALAR).length;
    }
    yield { start, end: at, text: text.slice(start, at) };
  }
}

/**
 * Parses an answer in which the members called `names` stay what they are in the text: each becomes a string with the
 * JSON text of its value.
 */
export function parseKeeping(text, names) {
  if (!names?.length) return JSON.parse(text);
  const wanted = new Set(names.map((name) => JSON.stringify(name)));
  let out = '';
  let copied = 0;
  let depth = 0;
  let key = null;
  // Where the value that is kept began, and how deep that was.
  let kept = null;
  const keep = (from, to) => {
    out += text.slice(copied, from) + JSON.stringify(text.slice(from, to));
    copied = to;
    kept = null;
  };
  let awaiting = false;
  for (const token of tokens(text)) {
    const opens = token.text === '{' || token.text === '[';
    const closes = token.text === '}' || token.text === ']';
    if (kept) {
      if (opens) depth += 1;
      if (closes) depth -= 1;
      if (closes && depth === kept.depth) keep(kept.start, token.end);
      continue;
    }
    if (awaiting) {
      awaiting = false;
      if (opens) {
        kept = { start: token.start, depth };
        depth += 1;
      } else {
        keep(token.start, token.end);
      }
      continue;
    }
    if (opens) depth += 1;
    if (closes) depth -= 1;
    if (token.text === ':') awaiting = wanted.has(key);
    key = token.text[0] === '"' ? token.text : null;
  }
  return JSON.parse(out + text.slice(copied));
}

/** Deeper than this nothing is indented any further: it would only push the text out of sight. */
const DEEPEST_INDENT = 40;

/**
 * JSON text in lines, everything but white space as it was. What is no JSON comes back as it is.
 */
export function pretty(text, most = 400_000) {
  if (text.length > most) return text;
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const parts = [];
  let depth = 0;
  let before = '';
  const line = () => parts.push('\n', '  '.repeat(Math.min(depth, DEEPEST_INDENT)));
  for (const { text: token } of tokens(text)) {
    if (token === '}' || token === ']') {
      depth -= 1;
      if (before !== '{' && before !== '[') line();
    } else if (before === '{' || before === '[') {
      line();
    }
    parts.push(token);
    if (token === '{' || token === '[') depth += 1;
    else if (token === ',') line();
    else if (token === ':') parts.push(' ');
    before = token;
  }
  return parts.join('');
}

/** What is wrong with a JSON text, as a sentence with line and column where the browser tells; null where nothing is. */
export function fault(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const at = /position (\d+)/.exec(error.message);
    if (!at) return `This is not JSON: ${error.message}.`;
    const head = text.slice(0, Number(at[1])).split('\n');
    return `This is not JSON (line ${head.length}, column ${head.at(-1).length + 1}): ${error.message.replace(/ in JSON at position.*$/, '')}.`;
  }
}

/** The elements of a JSON array, each as its text; `null` where the text is no array. */
export function elements(text) {
  const found = [];
  let depth = 0;
  let from = null;
  for (const token of tokens(text)) {
    if (token.text === '{' || token.text === '[') depth += 1;
    if (token.text === '}' || token.text === ']') depth -= 1;
    if (from === null) {
      if (token.text !== '[') return null;
      from = token.end;
    } else if (depth === 0 || (depth === 1 && token.text === ',')) {
      const element = text.slice(from, token.start).trim();
      if (element) found.push(element);
      from = token.end;
    }
  }
  return found;
}
