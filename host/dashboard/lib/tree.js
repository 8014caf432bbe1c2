// JSON as a tree that keeps digits and the order of members, and says where a text is no JSON. It works without recursion, so
// depth does not matter.
//
// Nodes: `{kind: 'object', members: [[name, node], ...]}`, `{kind: 'array', items: [node, ...]}`, `{kind: 'text', text}`, and
// `{kind: 'plain', text}` for numbers, `true`, `false` and `null` as they are written.

/** A text that is no JSON, and where. Lines and columns begin at 1. */
export class Fault extends Error {
  constructor(source, at, message) {
    const head = source.slice(0, at).split('\n');
    const line = head.length;
    const column = head.at(-1).length + 1;
    super(`This is not JSON (line ${line}, column ${column}): ${message}`);
    Object.assign(this, { at, line, column });
  }
}

const SPACE = /[ \t\r\n]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const LOOSE = /[^\s,:[\]{}"]+/y;

/** @throws {Fault} */
export function read(source) {
  let at = 0;
  const match = (pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0] ?? '';
  };
  const fail = (message, place = at) => { throw new Fault(source, place, message); };
  const found = () => (at >= source.length ? 'the text ends here.' : `there is ${JSON.stringify(match(LOOSE) || source[at])}.`);
  const space = () => { at += match(SPACE).length; };

  const string = () => {
    const start = at;
    at += 1;
    for (;;) {
      if (at >= source.length) fail('the text that begins here has no closing quote.', start);
      const code = source.charCodeAt(at);
      if (code === 0x22) break;
      if (code < 0x20) fail(code === 0x0a ? 'a text ends before the line does: its closing quote is missing, or write \\n.' : 'a control character in a text has to be written as \\u00...');
      const escaped = code === 0x5c ? match(ESCAPE) : source[at];
      if (!escaped) fail('after a backslash stands one of " \\ / b f n r t, or u with four hex digits.');
      at += escaped.length;
    }
    at += 1;
    return JSON.parse(source.slice(start, at));
  };

  const scalar = () => {
    if (source[at] === '"') return { kind: 'text', text: string() };
    const text = match(NUMBER) || match(WORD);
    if (!text || match(LOOSE) !== text) fail(`a value should stand here; ${found()}`);
    at += text.length;
    return { kind: 'plain', text };
  };

  const name = () => {
    if (source[at] !== '"') fail(`a name in quotes should stand here; ${found()}`);
    const start = at;
    const text = string();
    const open = stack.at(-1);
    if (open.names.has(text)) fail(`the name ${JSON.stringify(text)} stands here for the second time.`, start);
    open.names.add(text);
    space();
    if (source[at] !== ':') fail(`a colon should stand here; ${found()}`);
    at += 1;
    open.name = text;
  };

  const stack = [];
  let whole = null;
  // Puts a value where it belongs.
  const put = (node) => {
    const open = stack.at(-1);
    if (!open) whole = node;
    else if (open.node.kind === 'array') open.node.items.push(node);
    else open.node.members.push([open.name, node]);
  };

  space();
  for (;;) {
    // A value begins here.
    const char = source[at];
    if (char === '{' || char === '[') {
      const node = char === '{' ? { kind: 'object', members: [] } : { kind: 'array', items: [] };
      put(node);
      at += 1;
      space();
      stack.push({ node, names: new Set(), close: char === '{' ? '}' : ']' });
      if (source[at] !== stack.at(-1).close) {
        if (char === '{') { name(); space(); }
        continue;
      }
      at += 1;
      stack.pop();
    } else {
      put(scalar());
    }
    // A value has ended here.
    for (;;) {
      space();
      const open = stack.at(-1);
      if (!open) {
        if (at < source.length) fail(`the text should end here; ${found()}`);
        return whole;
      }
      if (source[at] === ',') {
        at += 1;
        space();
        if (source[at] === open.close) fail(`a comma stands before ${open.close}, with nothing behind it.`);
        if (open.node.kind === 'object') { name(); space(); }
        break;
      }
      if (source[at] !== open.close) fail(`a comma or ${open.close} should stand here; ${found()}`);
      at += 1;
      stack.pop();
    }
  }
}

/** What is wrong with a text, as a `Fault`; null where nothing is. */
export function faultOf(source) {
  try {
    JSON.parse(source);
    return null;
  } catch { /* the reader below says it better, and where */ }
  try {
    read(source);
    return null;
  } catch (fault) {
    return fault;
  }
}

/** The tree as text, without white space. Only for trees that `depth` says are shallow enough. */
export function write(node) {
  switch (node.kind) {
    case 'object': return `{${node.members.map(([name, value]) => `${JSON.stringify(name)}:${write(value)}`).join(',')}}`;
    case 'array': return `[${node.items.map(write).join(',')}]`;
    case 'text': return JSON.stringify(node.text);
    default: return node.text;
  }
}

/** Deepest configuration that the server takes. */
const DEEPEST = 128;

export function isTooDeep(node) {
  let level = [node];
  for (let depth = 0; level.length; depth += 1) {
    if (depth > DEEPEST) return true;
    level = level.flatMap((one) => (one.kind === 'object' ? one.members.map((member) => member[1]) : one.items ?? []));
  }
  return false;
}

export const text = (value) => ({ kind: 'text', text: value });
export const plain = (value) => ({ kind: 'plain', text: value });
/** Of a value that was parsed; for defaults and constants of a schema. */
export const nodeOf = (value) => read(JSON.stringify(value ?? null));

export const member = (node, name) => (node?.kind === 'object' ? node.members.find(([own]) => own === name)?.[1] : undefined);

/** The object with another value for a member, in its place; at the end if it is new; without it where `value` is undefined. */
export function withMember(node, name, value) {
  const members = node?.kind === 'object' ? node.members : [];
  if (value === undefined) return { kind: 'object', members: members.filter(([own]) => own !== name) };
  const known = members.some(([own]) => own === name);
  return {
    kind: 'object',
    members: known ? members.map((one) => (one[0] === name ? [name, value] : one)) : [...members, [name, value]],
  };
}

/** A step of a JSON Pointer. */
export const step = (name) => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`;
