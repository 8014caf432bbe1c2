// The contract of wit/ in the words of JavaScript. hookwright.d.ts says what everything is for.

import * as lines from 'hookwright:plugin/log@0.1.0';

const JSON_TYPE = 'application/json';

export class Failure extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export const log = {
  debug: (line) => lines.write('debug', `${line}`),
  info: (line) => lines.write('info', `${line}`),
  warn: (line) => lines.write('warn', `${line}`),
  error: (line) => lines.write('error', `${line}`),
};

export function plugin({ configSchema = {}, mustRun = false, check = () => [], examples = [], ...rest }) {
  return {
    describe: () => ({
      name: rest.name,
      version: rest.version,
      summary: rest.summary,
      configSchema: JSON.stringify(configSchema),
      mustRun,
      examples: examples.map(example),
    }),
    checkConfig(text) {
      const errors = refusals(check, text);
      if (errors.length > 0) throw errors;
    },
    transform(event, message, text) {
      try {
        return rest.transform(event, message, configuration(text));
      } catch (error) {
        throw failure(error);
      }
    },
  };
}

export function judging(judge) {
  return {
    judge(status, headers, body, text) {
      try {
        return judge({ status, headers, body }, configuration(text));
      } catch (error) {
        log.error(`the answer could not be judged: ${error}`);
        return byStatus;
      }
    },
  };
}

export const pass = { tag: 'pass' };
export const drop = (reason) => ({ tag: 'drop', val: reason });
export const reject = (reason) => ({ tag: 'reject', val: reason });
export const json = (message, value) => body(message, JSON_TYPE, JSON.stringify(value));
export const body = (message, contentType, bytes) => ({
  tag: 'replace',
  val: { ...message, contentType, body: typeof bytes === 'string' ? encode(bytes) : bytes },
});

export const byStatus = { tag: 'by-status' };
export const delivered = { tag: 'delivered' };
export const retry = (seconds) => ({ tag: 'retry', val: seconds });
export const fail = (reason) => ({ tag: 'fail', val: reason });
export const disable = (reason) => ({ tag: 'disable', val: reason });

export function payload(message) {
  try {
    return JSON.parse(text(message));
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('bad-payload', `The payload is not JSON: ${error.message}.`);
  }
}

export const text = (message) => decode(message.body);

/** UTF-8; JavaScript's own engines for components have no TextEncoder. */
export function encode(text) {
  const bytes = [];
  for (const character of text) {
    const code = character.codePointAt(0);
    if (code < 0x80) {
      bytes.push(code);
    } else if (code < 0x800) {
      bytes.push(0xc0 | (code >> 6), tail(code));
    } else if (code < 0x10000) {
      // Half of a pair has no form of its own.
      const whole = code >= 0xd800 && code <= 0xdfff ? 0xfffd : code;
      bytes.push(0xe0 | (whole >> 12), tail(whole >> 6), tail(whole));
    } else {
      bytes.push(0xf0 | (code >> 18), tail(code >> 12), tail(code >> 6), tail(code));
    }
  }
  return new Uint8Array(bytes);
}

export function decode(bytes) {
  const AT_ONCE = 4096;
  let text = '';
  let codes = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at];
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    let code = length === 1 ? first : first & (0x7f >> length);
    for (let next = at + 1; next < at + length; next++) {
      if ((bytes[next] & 0xc0) !== 0x80) throw new Failure('bad-payload', `The body is not UTF-8 at byte ${at}.`);
      code = (code << 6) | (bytes[next] & 0x3f);
    }
    if (code > 0x10ffff || (length === 2 && first < 0xc2)) {
      throw new Failure('bad-payload', `The body is not UTF-8 at byte ${at}.`);
    }
    codes.push(code);
    at += length;
    if (codes.length === AT_ONCE || at >= bytes.length) {
      text += String.fromCodePoint(...codes);
      codes = [];
    }
  }
  return text;
}

const tail = (code) => 0x80 | (code & 0x3f);

/** An endpoint may leave its configuration out. */
const configuration = (text) => JSON.parse(text.trim() || '{}') ?? {};

function refusals(check, text) {
  const config = configuration(text);
  if (typeof config !== 'object' || Array.isArray(config)) {
    return [{ pointer: '', message: 'A configuration is a JSON object.' }];
  }
  return check(config);
}

/** What the host reads: anything else that is thrown would say nothing to whoever reads the attempt. */
function failure(error) {
  if (error instanceof Failure) return { code: error.code, message: error.message };
  if (error?.stack) log.error(error.stack);
  return { code: 'exception', message: `${error}` };
}

function example({ title, eventType, config = {}, input, becomes, drops, rejects }) {
  return {
    title,
    config: JSON.stringify(config),
    eventType,
    input: encode(JSON.stringify(input)),
    expect: expectation({ becomes, drops, rejects }),
  };
}

function expectation({ becomes, drops, rejects }) {
  if (drops !== undefined) return drop(drops);
  if (rejects !== undefined) return reject(rejects);
  if (becomes === undefined) return pass;
  const blank = { method: undefined, pathAndQuery: undefined, headers: [] };
  return json(blank, becomes);
}
