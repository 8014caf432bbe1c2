// Discord: a text, and embeds with a colour.

import { html } from '../html.js';
import { Anchor, Marked, Omitted, Plain, list, string } from './words.js';

// Embeds mention nobody.
const Words = ({ text }) => html`<${Marked} text=${text} language="silent" />`;

const mentions = (body) => !Array.isArray(body.allowed_mentions?.parse) || body.allowed_mentions.parse.includes('everyone');

const hex = (number) => (Number.isInteger(number) && number >= 0 && number <= 0xffffff ? `#${number.toString(16).padStart(6, '0')}` : 'var(--line-strong)');

const Embed = ({ of }) => html`
  <div class="chat-embed boxed" style=${{ borderColor: hex(of.color) }}>
    ${of.author?.name && html`<p class="chat-small strong"><${Plain} text=${of.author.name} /></p>`}
    ${of.title && html`<p class="strong">${of.url ? html`<${Anchor} url=${of.url}><${Words} text=${of.title} /><//>` : html`<${Words} text=${of.title} />`}</p>`}
    ${of.description && html`<div class="words"><${Words} text=${of.description} /></div>`}
    ${list(of.fields).length > 0 && html`<div class="chat-fields three">${list(of.fields).map((field) => html`
      <div class=${field.inline ? '' : 'whole'}><p class="strong"><${Words} text=${field.name} /></p><div class="words"><${Words} text=${field.value} /></div></div>`)}</div>`}
    ${(of.image || of.thumbnail) && html`<${Omitted} what="A picture" />`}
    ${(of.footer?.text || of.timestamp) && html`<p class="chat-small"><${Plain} text=${[of.footer?.text, of.timestamp].filter(Boolean).map(string).join(' · ')} /></p>`}
  </div>`;

export default function Discord({ body }) {
  return html`
    ${body.content && html`<div class="words"><${Marked} text=${body.content} language=${mentions(body) ? 'discord' : 'silent'} /></div>`}
    ${list(body.embeds).map((embed) => html`<${Embed} of=${embed} />`)}`;
}

export const fitsDiscord = (body) => list(body.embeds).length > 0
  || (typeof body.content === 'string' && ['username', 'avatar_url', 'allowed_mentions', 'tts', 'flags', 'components'].some((name) => name in body));
export const isEmptyDiscord = (body) => list(body.embeds).length === 0 && !(typeof body.content === 'string' && body.content);
