// Microsoft Teams: an Adaptive Card in a message, or by itself, or the older MessageCard.

import { html } from '../html.js';
import { Anchor, Marked, Omitted, Plain, list, string } from './words.js';
import { colour } from './slack.js';

const Words = ({ text }) => html`<${Marked} text=${text} language="teams" />`;

function Part({ of }) {
  switch (of.type) {
    case 'TextBlock': return html`<p class="words card-text ${size(of)} ${string(of.weight).toLowerCase() === 'bolder' ? 'strong' : ''} ${of.isSubtle ? 'chat-small' : ''}"><${Words} text=${of.text} /></p>`;
    case 'RichTextBlock': return html`<p class="words">${(Array.isArray(of.inlines) ? of.inlines : []).map((run) => html`<${Plain} text=${run?.text ?? run} />`)}</p>`;
    case 'FactSet': return html`<dl class="chat-facts">${list(of.facts).map((fact) => html`<div><dt><${Words} text=${fact.title} /></dt><dd class="words"><${Words} text=${fact.value} /></dd></div>`)}</dl>`;
    case 'Container': return html`<div class="card-container">${list(of.items).map((part) => html`<${Part} of=${part} />`)}</div>`;
    case 'ColumnSet': return html`<div class="card-columns">${list(of.columns).map((column) => html`<div>${list(column.items).map((part) => html`<${Part} of=${part} />`)}</div>`)}</div>`;
    case 'Table': return html`<div>${list(of.rows).map((row) => html`<div class="card-columns">${list(row.cells).map((cell) => html`<div>${list(cell.items).map((part) => html`<${Part} of=${part} />`)}</div>`)}</div>`)}</div>`;
    case 'ActionSet': return html`<${Actions} of=${of.actions} />`;
    case 'Image': return html`<${Omitted} what="A picture: ${string(of.altText)}" />`;
    default: return html`<${Omitted} what="A part of the kind ${string(of.type)}" />`;
  }
}

const size = (of) => ({ large: 'large', extralarge: 'large', small: 'chat-small' })[string(of.size).toLowerCase()] ?? '';

const Actions = ({ of }) => list(of).length > 0 && html`<div class="chat-buttons">${list(of).map((action) => {
  const words = html`<${Plain} text=${action.title ?? action.name ?? action.type} />`;
  const url = action.url ?? list(action.targets)[0]?.uri;
  return url ? html`<${Anchor} class="chat-button" url=${url}>${words}<//>` : html`<span class="chat-button">${words}</span>`;
})}</div>`;

const Card = ({ of }) => html`
  <div class="chat-card">
    ${list(of.body).map((part) => html`<${Part} of=${part} />`)}
    <${Actions} of=${of.actions} />
  </div>`;

const MessageCard = ({ of }) => html`
  <div class="chat-embed" style=${{ borderColor: colour(of.themeColor) }}>
    ${of.title && html`<p class="chat-title"><${Plain} text=${of.title} /></p>`}
    ${of.text && html`<p class="words"><${Words} text=${of.text} /></p>`}
    ${list(of.sections).map((section) => html`
      ${section.activityTitle && html`<p class="strong words"><${Words} text=${section.activityTitle} /></p>`}
      ${section.text && html`<p class="words"><${Words} text=${section.text} /></p>`}
      ${list(section.facts).length > 0 && html`<dl class="chat-facts">${list(section.facts).map((fact) => html`<div><dt><${Plain} text=${fact.name} /></dt><dd class="words"><${Words} text=${fact.value} /></dd></div>`)}</dl>`}`)}
    <${Actions} of=${of.potentialAction} />
  </div>`;

const cardsOf = (body) => (body.type === 'AdaptiveCard' ? [body]
  : list(body.attachments).map((one) => one.content).filter((content) => content?.type === 'AdaptiveCard'));
const isOld = (body) => body['@type'] === 'MessageCard';

export default function Teams({ body }) {
  if (isOld(body)) return html`<${MessageCard} of=${body} />`;
  return html`${body.text && html`<p class="words"><${Words} text=${body.text} /></p>`}${cardsOf(body).map((card) => html`<${Card} of=${card} />`)}`;
}

export const fitsTeams = (body) => isOld(body) || cardsOf(body).length > 0;
export const isEmptyTeams = (body) => !fitsTeams(body) && !body.text;
