// The small languages in which chat services write text, drawn with elements. Nothing here becomes markup.

import { html } from '../html.js';
import { visible } from '../format.js';

/** Longer texts are cut: no service shows as much, and each mark is looked at. */
const LONGEST = 6_000;

/** The address where it may be opened: http and https alone. */
export function webUrl(url) {
  try {
    const parsed = new URL(String(url));
    return ['http:', 'https:'].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

export const Anchor = ({ url, children, class: more }) => {
  const href = webUrl(url);
  return href ? html`<a class=${more} href=${href} target="_blank" rel="noopener noreferrer" title=${visible(href)}>${children}</a>`
    : html`<span class="no-link">${children}</span>`;
};

export function string(value) {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  try {
    return JSON.stringify(value);
  } catch {
    // Nested deeper than that can be written.
    return '…';
  }
}
export const list = (value) => (Array.isArray(value) ? value.filter((item) => item && typeof item === 'object') : []);
export const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

/** Deepest that marks nest in each other. */
const DEEPEST = 6;

/** `rules`: `[[pattern (sticky), (match, inner) => element], ...]`; the first one that fits at a place holds. */
function inline(text, rules, deep = 0) {
  if (deep > DEEPEST) return [visible(text)];
  const out = [];
  let rest = '';
  let at = 0;
  const flush = () => { if (rest) { out.push(visible(rest)); rest = ''; } };
  const inner = (words) => inline(words, rules, deep + 1);
  while (at < text.length) {
    let hit = null;
    if (!/[\w ]/.test(text[at]) || text[at] === '_' || text[at] === 'h') {
      for (const [pattern, make] of rules) {
        pattern.lastIndex = at;
        const match = pattern.exec(text);
        if (match) { hit = [match[0].length, make, match]; break; }
      }
    }
    if (!hit) { rest += text[at]; at += 1; continue; }
    const made = hit[1](hit[2], inner);
    if (typeof made === 'string') rest += made;
    else { flush(); out.push(made); }
    at += hit[0];
  }
  flush();
  return out;
}

const NAMED = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };
const entity = [/&(?:#([0-9]{1,7})|#x([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos|nbsp));/y, (match) => {
  const code = match[1] ? Number(match[1]) : match[2] ? parseInt(match[2], 16) : null;
  if (code === null) return NAMED[match[3]];
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : match[0];
}];
const unescaped = (text) => text.replace(/&(amp|lt|gt);/g, (_, name) => NAMED[name]);
const pre = [/```(?:\w*\n)?([^]*?)```/y, (match) => html`<pre>${visible(match[1])}</pre>`];
const code = [/`([^`\n]+)`/y, (match) => html`<code>${visible(match[1])}</code>`];
const mention = (words) => html`<span class="mention">${visible(words)}</span>`;

const SLACK = [
  [/```([^]*?)```/y, (match) => html`<pre>${visible(unescaped(match[1]))}</pre>`],
  [/`([^`\n]+)`/y, (match) => html`<code>${visible(unescaped(match[1]))}</code>`],
  [/<([@#!])([^<>|\n]*)(?:\|([^<>\n]*))?>/y, (match) => mention(match[3] ? match[3] : `${match[1] === '!' ? '@' : match[1]}${match[2]}`)],
  [/<([^<>|\s]+)(?:\|([^<>\n]*))?>/y, (match) => html`<${Anchor} url=${unescaped(match[1])}>${visible(unescaped(match[2] || match[1]))}<//>`],
  [/\*([^*\n]+)\*/y, (match, inner) => html`<strong>${inner(match[1])}</strong>`],
  [/_([^_\n]+)_(?!\w)/y, (match, inner) => html`<em>${inner(match[1])}</em>`],
  [/~([^~\n]+)~/y, (match, inner) => html`<del>${inner(match[1])}</del>`],
  entity,
];

const escaped = [/\\([!-/:-@[-`{-~])/y, (match) => match[1]];
const labelled = [/!?\[((?:[^[\]\\\n]|\\.)*)\]\(<?([^\s()<>]+)>?(?:\s+"[^"]*")?\)/y, (match, inner) => html`<${Anchor} url=${match[2]}>${inner(match[1])}<//>`];
const bare = [/https?:\/\/[^\s<>()[\]"']+/y, (match) => html`<${Anchor} url=${match[0]}>${visible(match[0])}<//>`];
const MARKDOWN = [
  escaped, pre, code, labelled,
  [/\*\*((?:[^*\\]|\\.|\*(?!\*))+)\*\*/y, (match, inner) => html`<strong>${inner(match[1])}</strong>`],
  [/~~((?:[^~\\]|\\.)+)~~/y, (match, inner) => html`<del>${inner(match[1])}</del>`],
  [/\*((?:[^*\\\n]|\\.)+)\*/y, (match, inner) => html`<em>${inner(match[1])}</em>`],
];
const TEAMS = [
  ...MARKDOWN,
  [/_((?:[^_\\\n]|\\.)+)_(?!\w)/y, (match, inner) => html`<em>${inner(match[1])}</em>`],
  entity,
];
const DISCORD = [
  ...MARKDOWN.slice(0, 4),
  [/<(@[!&]?|#)(\d+)>/y, (match) => mention(`${match[1][0]}${match[2]}`)],
  [/<(https?:\/\/[^\s<>]+)>/y, (match) => html`<${Anchor} url=${match[1]}>${visible(match[1])}<//>`],
  [/@(?:everyone|here)\b/y, (match) => mention(match[0])],
  [/\|\|((?:[^|\\]|\\.)+)\|\|/y, (match, inner) => html`<span class="spoiler">${inner(match[1])}</span>`],
  [/__((?:[^_\\]|\\.)+)__/y, (match, inner) => html`<u>${inner(match[1])}</u>`],
  ...MARKDOWN.slice(4),
  [/_((?:[^_\\\n]|\\.)+)_(?!\w)/y, (match, inner) => html`<em>${inner(match[1])}</em>`],
  bare,
];
const LARK = [
  [/<at (?:id|user_id|email)=["']?([^\s"'<>]*)["']?\s*>(?:([^<>]*)<\/at>)?/y, (match) => mention(`@${match[2] || match[1]}`)],
  [/<font color=["']?(\w+)["']?>([^<>]*)<\/font>/y, (match, inner) => html`<span>${inner(match[2])}</span>`],
  [/<a href=["']([^"'<>]*)["']\s*>([^<>]*)<\/a>/y, (match) => html`<${Anchor} url=${match[1]}>${visible(match[2])}<//>`],
  ...MARKDOWN.filter((rule) => rule !== escaped),
  entity, bare,
];
/** Where nobody is told, the words are there and mean nothing. */
const SILENT = DISCORD.filter(([pattern]) => !pattern.source.startsWith('@'));
const DIALECTS = { silent: SILENT, slack: SLACK, teams: TEAMS, discord: DISCORD, lark: LARK };
/** Which have headings and lists. */
const BLOCKS = { teams: true, discord: true, silent: true, lark: true };

/** Lines with marks. `language`: slack, teams, discord, lark. */
export function Marked({ text, language }) {
  const rules = DIALECTS[language];
  // Preformatted text may have lines of its own.
  const parts = cut(string(text)).split(/(```[^]*?```)/);
  return parts.map((part, index) => (index % 2 ? inline(part, rules) : lines(part, rules, language)));
}

function lines(text, rules, language) {
  const all = text.split('\n');
  return all.map((line, index) => {
    const quote = /^(?:>|&gt;) ?(.*)$/.exec(line);
    if (quote) return html`<blockquote>${inline(quote[1], rules)}</blockquote>`;
    const heading = BLOCKS[language] && /^#{1,3} (.+)$/.exec(line);
    if (heading) return html`<span class="heading">${inline(heading[1], rules)}</span>`;
    const item = BLOCKS[language] && /^\s*[-*] (.+)$/.exec(line);
    const words = item ? ['• ', ...inline(item[1], rules)] : inline(line, rules);
    return html`${words}${index < all.length - 1 && '\n'}`;
  });
}

/** Text without marks. */
export const Plain = ({ text }) => visible(cut(string(text)));

/** What is not drawn: pictures are never fetched, and new kinds of parts are named. */
export const Omitted = ({ what }) => html`<p class="omitted">${visible(what)}</p>`;
