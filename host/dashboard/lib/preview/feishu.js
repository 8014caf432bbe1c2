// Feishu (Lark): a text, a post, or a card.

import { html } from '../html.js';
import { visible } from '../format.js';
import { Anchor, Marked, Omitted, Plain, list, string } from './words.js';

/** The heads that cards may have. */
const HEADS = {
  blue: '#2b5fd9', wathet: '#1f73b7', turquoise: '#0b7f73', green: '#1f7a17', yellow: '#8a6100', orange: '#a8540a', red: '#c62828',
  carmine: '#b0144f', violet: '#7a2ff2', purple: '#5f3ad6', indigo: '#3949ab', grey: '#5c626b', default: '#5c626b',
};

const Words = ({ of }) => {
  if (typeof of === 'string') return html`<${Marked} text=${of} language="lark" />`;
  return of?.tag === 'plain_text' ? html`<${Plain} text=${of.content} />` : html`<${Marked} text=${of?.content ?? of?.text} language="lark" />`;
};

const Button = ({ of }) => {
  const words = html`<${Words} of=${of.text ?? string(of.tag)} />`;
  const url = of.url ?? of.multi_url?.url ?? list(of.behaviors).find((one) => one.default_url)?.default_url;
  const kind = `chat-button ${['primary', 'danger'].includes(of.type) ? of.type : ''}`;
  return url ? html`<${Anchor} class=${kind} url=${url}>${words}<//>` : html`<span class=${kind}>${words}</span>`;
};

function Part({ of }) {
  switch (of.tag) {
    case 'div': return html`<div class="chat-section">
      ${of.text && html`<div class="words"><${Words} of=${of.text} /></div>`}
      ${list(of.fields).length > 0 && html`<div class="chat-fields">${list(of.fields).map((field) => html`<div class="words ${field.is_short ? '' : 'whole'}"><${Words} of=${field.text} /></div>`)}</div>`}</div>`;
    case 'markdown': return html`<div class="words"><${Marked} text=${of.content} language="lark" /></div>`;
    case 'plain_text': case 'lark_md': return html`<div class="words"><${Words} of=${of} /></div>`;
    case 'hr': return html`<hr />`;
    case 'action': return html`<div class="chat-buttons">${list(of.actions).map((one) => html`<${Button} of=${one} />`)}</div>`;
    case 'button': return html`<div class="chat-buttons"><${Button} of=${of} /></div>`;
    case 'note': return html`<div class="chat-small words">${list(of.elements).map((one) => html`<span>${one.tag === 'img' ? '[picture]' : html`<${Words} of=${one} />`} </span>`)}</div>`;
    case 'column_set': return html`<div class="card-columns">${list(of.columns).map((column) => html`<div>${list(column.elements).map((part) => html`<${Part} of=${part} />`)}</div>`)}</div>`;
    case 'img': return html`<${Omitted} what="A picture: ${string(of.alt?.content)}" />`;
    default: return html`<${Omitted} what="A part of the kind ${string(of.tag)}" />`;
  }
}

const Card = ({ of }) => html`
  <div class="chat-card headed">
    ${of.header && html`<p class="chat-head" style=${{ background: Object.hasOwn(HEADS, of.header.template) ? HEADS[of.header.template] : HEADS.default }}><${Words} of=${of.header.title} /></p>`}
    <div>${list(of.elements ?? of.body?.elements).map((part) => html`<${Part} of=${part} />`)}</div>
  </div>`;

function Piece(piece) {
  if (piece.tag === 'a') return html`<${Anchor} url=${piece.href}>${visible(string(piece.text))}<//>`;
  if (piece.tag === 'at') return html`<span class="mention">@${visible(string(piece.user_name ?? piece.user_id))}</span>`;
  if (piece.tag === 'img' || piece.tag === 'media') return '[picture]';
  return visible(string(piece.text ?? piece.content));
}

const postOf = (body) => Object.values(body.content?.post ?? {}).find((post) => post && typeof post === 'object');

const Post = ({ of }) => html`
  ${of.title && html`<p class="chat-title"><${Plain} text=${of.title} /></p>`}
  ${(Array.isArray(of.content) ? of.content : []).map((line) => html`<p class="words">${list(line).map(Piece)}</p>`)}`;

export default function Feishu({ body }) {
  const card = cardOf(body);
  if (card) return html`<${Card} of=${card} />`;
  const post = postOf(body);
  if (post) return html`<${Post} of=${post} />`;
  if (body.content?.text) return html`<div class="words"><${Marked} text=${body.content.text} language="lark" /></div>`;
  return html`<${Omitted} what="A message of the kind ${string(body.msg_type)}" />`;
}

const cardOf = (body) => (body.card && typeof body.card === 'object' ? body.card : null);
const KINDS = ['text', 'post', 'interactive', 'image', 'share_chat'];

export const fitsFeishu = (body) => KINDS.includes(body.msg_type);
export const isEmptyFeishu = (body) => !fitsFeishu(body);
