// An attempt's request as a command for a shell. What comes from payloads can neither end a quotation nor steer the terminal
// into which it is pasted.

/** Masks stand for credentials, which nobody is shown. */
const MASK = '***';

/** curl says these itself. */
const ITS_OWN = new Set(['content-length', 'host', 'transfer-encoding', 'connection']);

/** Control characters, and those that turn the direction of text. Line feed and tab are harmless within quotes. */
const STEERS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]/;

/** Longer than this is no argument for a command. */
const ARGUMENT_MOST = 100_000;

/** For a POSIX shell. */
export const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

function base64(text) {
  let binary = '';
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

const sentOf = (headers) => headers.filter(([name, value]) => !ITS_OWN.has(name.toLowerCase()) && !STEERS.test(name + value));

export function curl({ method, url, headers, body }) {
  const lines = [`--request ${quote(method)}`];
  for (const [name, value] of sentOf(headers)) lines.push(`--header ${quote(value === '' ? `${name};` : `${name}: ${value}`)}`);
  const asText = body.encoding === 'utf-8' && body.content.length < ARGUMENT_MOST && !STEERS.test(body.content);
  const isThere = body.content !== '';
  if (isThere) lines.push(asText ? `--data-raw ${quote(body.content)}` : '--data-binary @-');
  lines.push(`--globoff ${quote(url)}`);
  const encoded = () => (body.encoding === 'base64' ? body.content : base64(body.content));
  const pipe = isThere && !asText ? `printf %s ${quote(encoded())} | base64 -d | ` : '';
  return `${pipe}curl ${lines.join(' \\\n  ')}`;
}

/** What the command cannot hold, as sentences. */
export function lacks({ url, headers, body }) {
  const masked = url.includes(MASK) || sentOf(headers).some(([, value]) => value.includes(MASK));
  return [
    masked && 'Credentials, and most of the URL, are masked here as everywhere: put your own in where *** stands.',
    body.truncated && 'Only the first part of the body was kept, so the command sends less, and a signature will not match.',
  ].filter(Boolean);
}
