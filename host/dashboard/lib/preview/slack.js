// Slack: Block Kit, old attachments, or a text alone.

import { html } from '../html.js';
import { visible } from '../format.js';
import { Anchor, Marked, Omitted, Plain, list, string } from './words.js';

/** A text object; plain text has no marks. */
const Words = ({ of }) => {
  if (typeof of === 'string') return html`<${Marked} text=${of} language="slack" />`;
  return of?.type === 'plain_text' ? html`<${Plain} text=${of.text} />` : html`<${Marked} text=${of?.text} language="slack" />`;
};

const RICH = {
  rich_text_section: (part) => html`<p class="words">${list(part.elements).map(Piece)}</p>`,
  rich_text_preformatted: (part) => html`<pre>${list(part.elements).map(Piece)}</pre>`,
  rich_text_quote: (part) => html`<blockquote>${list(part.elements).map(Piece)}</blockquote>`,
  rich_text_list: (part) => html`<ul>${list(part.elements).map((item) => html`<li>${list(item.elements).map(Piece)}</li>`)}</ul>`,
};

function Piece(piece) {
  const { bold, italic, strike, code } = piece.style ?? {};
  let words = visible(string(piece.text ?? (piece.type === 'emoji' ? `:${piece.name}:` : piece.url ?? piece.user_id ?? piece.range)));
  if (piece.type === 'link') words = html`<${Anchor} url=${piece.url}>${words}<//>`;
  if (code) words = html`<code>${words}</code>`;
  if (bold) words = html`<strong>${words}</strong>`;
  if (italic) words = html`<em>${words}</em>`;
  if (strike) words = html`<del>${words}</del>`;
  return ['user', 'usergroup', 'channel', 'broadcast'].includes(piece.type) ? html`<span class="mention">@${words}</span>` : words;
}

const kindOf = (style) => (['primary', 'danger'].includes(style) ? style : '');

const Action = ({ of }) => {
  const words = html`<${Words} of=${of.text ?? of.placeholder ?? string(of.type)} />`;
  return of.url ? html`<${Anchor} class="chat-button ${kindOf(of.style)}" url=${of.url}>${words}<//>` : html`<span class="chat-button ${kindOf(of.style)}">${words}</span>`;
};

function Block({ of }) {
  switch (of.type) {
    case 'header': return html`<p class="chat-title"><${Plain} text=${of.text?.text} /></p>`;
    case 'divider': return html`<hr />`;
    case 'section': return html`<div class="chat-section">
      ${of.text && html`<div class="words"><${Words} of=${of.text} /></div>`}
      ${list(of.fields).length > 0 && html`<div class="chat-fields">${list(of.fields).map((field) => html`<div class="words"><${Words} of=${field} /></div>`)}</div>`}
      ${of.accessory && (of.accessory.type === 'image' ? html`<${Omitted} what="A picture: ${string(of.accessory.alt_text)}" />` : html`<${Action} of=${of.accessory} />`)}</div>`;
    case 'context': return html`<div class="chat-small words">${list(of.elements).map((part) => html`<span>${part.type === 'image' ? `[${visible(string(part.alt_text))}]` : html`<${Words} of=${part} />`} </span>`)}</div>`;
    case 'actions': return html`<div class="chat-buttons">${list(of.elements).map((part) => html`<${Action} of=${part} />`)}</div>`;
    case 'image': return html`<${Omitted} what="A picture: ${string(of.title?.text ?? of.alt_text)}" />`;
    case 'rich_text': return list(of.elements).map((part) => RICH[part.type]?.(part));
    case 'markdown': return html`<div class="words"><${Marked} text=${of.text} language="teams" /></div>`;
    default: return html`<${Omitted} what="A block of the kind ${string(of.type)}" />`;
  }
}

const COLOURS = { good: '#2eb67d', warning: '#ecb22e', danger: '#e01e5a' };

const Attachment = ({ of }) => html`
  <div class="chat-embed" style=${{ borderColor: colour(of.color) }}>
    ${of.pretext && html`<p class="words"><${Marked} text=${of.pretext} language="slack" /></p>`}
    ${of.author_name && html`<p class="chat-small"><${Plain} text=${of.author_name} /></p>`}
    ${of.title && html`<p class="strong">${of.title_link ? html`<${Anchor} url=${of.title_link}><${Plain} text=${of.title} /><//>` : html`<${Plain} text=${of.title} />`}</p>`}
    ${of.text && html`<div class="words"><${Marked} text=${of.text} language="slack" /></div>`}
    ${list(of.fields).length > 0 && html`<div class="chat-fields">${list(of.fields).map((field) => html`
      <div class=${field.short ? '' : 'whole'}><p class="strong"><${Plain} text=${field.title} /></p><div class="words"><${Marked} text=${field.value} language="slack" /></div></div>`)}</div>`}
    ${list(of.blocks).map((block) => html`<${Block} of=${block} />`)}
    ${of.footer && html`<p class="chat-small"><${Plain} text=${of.footer} /></p>`}
  </div>`;

/** Names and hex digits alone: a colour becomes a style. */
export function colour(given, fallback = 'var(--line-strong)') {
  const hex = /^#?([0-9a-fA-F]{6})$/.exec(string(given));
  return hex ? `#${hex[1]}` : COLOURS[given] ?? fallback;
}

export default function Slack({ body }) {
  const blocks = list(body.blocks);
  const attachments = list(body.attachments);
  return html`
    ${blocks.length > 0 ? blocks.map((block) => html`<${Block} of=${block} />`) : body.text && html`<div class="words"><${Marked} text=${body.text} language="slack" /></div>`}
    ${attachments.map((one) => html`<${Attachment} of=${one} />`)}
    ${blocks.length > 0 && body.text && html`<p class="chat-small">Notifications say: <${Plain} text=${body.text} /></p>`}`;
}

export const fitsSlack = (body) => list(body.blocks).some((block) => typeof block.type === 'string') || list(body.attachments).some((one) => one.blocks || one.text || one.fields || one.fallback);
export const isEmptySlack = (body) => !fitsSlack(body) && !(typeof body.text === 'string' && body.text);
