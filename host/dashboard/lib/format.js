// How times, numbers and names are written for people.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const dateOnly = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });
const plain = new Intl.NumberFormat();
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** In the reader's zone. */
export const time = (at) => dateTime.format(new Date(at));
export const date = (at) => dateOnly.format(new Date(at));
/** In UTC, to the second, for titles. */
export const utc = (at) => `${new Date(at).toISOString().replace('T', ' ').replace(/\.\d+Z$/, '')} UTC`;
export const zoneName = zone;

const STEPS = [['year', 31_536_000], ['month', 2_592_000], ['day', 86_400], ['hour', 3_600], ['minute', 60], ['second', 1]];

/** "3 min. ago", "in 2 hr." */
export function ago(at, now = Date.now()) {
  const seconds = (new Date(at).getTime() - now) / 1000;
  const [unit, length] = STEPS.find(([, length]) => Math.abs(seconds) >= length) ?? STEPS.at(-1);
  return relative.format(Math.trunc(seconds / length), unit);
}

/** "1 h 4 min" */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const parts = [];
  let rest = Math.round(seconds);
  for (const [word, length] of [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]]) {
    const many = Math.floor(rest / length);
    rest -= many * length;
    if (many) parts.push(`${many}\u00a0${word}`);
  }
  return parts.slice(0, 2).join(' ') || '0 s';
}

export function millis(ms) {
  if (ms == null) return '–';
  if (ms < 1) return `${(ms * 1000).toFixed(0)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

export function bytes(count) {
  if (count == null) return '–';
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(1)} MiB`;
}

export const number = (count) => (count == null ? '–' : plain.format(count));
export const short = (count) => (count == null ? '–' : count < 10_000 ? plain.format(count) : compact.format(count));
export const percent = (part) => (part == null ? '–' : `${(Math.floor(part * 1000) / 10).toFixed(part === 1 ? 0 : 1)} %`);
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** The seconds of a duration as the interface writes them: "90s", "5m". */
export function seconds(text) {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text ?? '');
  if (!match) return null;
  return Number(match[1]) * { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }[match[2]];
}

/** Written so that no hidden character of a text can turn what stands around it: bidi controls are shown as such. */
export const visible = (text) =>
  String(text).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
