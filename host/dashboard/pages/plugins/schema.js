// A JSON Schema for people: its members with what each may be. The schema itself is one click away.

import { html } from '../../lib/html.js';
import { plural } from '../../lib/format.js';
import { Badge, Code, prose, visible } from '../../lib/ui.js';

/** A schema can name itself. */
const DEEPEST = 5;

function resolve(schema, root) {
  let found = schema;
  for (let hops = 0; found?.$ref && hops < 16; hops += 1) {
    const { $ref, ...beside } = found;
    const target = $ref.replace(/^#\/?/, '').split('/').filter(Boolean)
      .reduce((at, name) => at?.[decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~')], root);
    found = { ...(typeof target === 'object' ? target : {}), ...beside };
  }
  return found && typeof found === 'object' ? found : {};
}

const choices = (schema) => schema.oneOf ?? schema.anyOf ?? [];

/** "text", "list of numbers", "one of ..." */
function kind(given, root, depth = 0) {
  const schema = resolve(given, root);
  if (schema.title && depth > 0 && !schema.type) return schema.title;
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return `one of ${schema.enum.map((value) => JSON.stringify(value)).join(', ')}`;
  const words = { string: 'text', integer: 'whole number', number: 'number', boolean: 'true or false', object: 'object', null: 'null' };
  const types = [].concat(schema.type ?? []);
  if (types.includes('array')) return `list of ${depth > 2 ? 'values' : kind(schema.items ?? {}, root, depth + 1)}`;
  if (types.length) return types.map((type) => words[type] ?? type).join(' or ');
  if (choices(schema).length) return depth > 2 ? 'one of several' : [...new Set(choices(schema).map((one) => kind(one, root, depth + 1)))].join(' or ');
  return schema.properties || schema.additionalProperties ? 'object' : 'any value';
}

function bounds(schema) {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, pattern } = schema;
  const range = (least, most, word, words) => {
    if (least == null && most == null) return null;
    const count = (number) => (word ? plural(number, word, words) : number);
    if (least == null) return `at most ${count(most)}`;
    return most == null ? `at least ${count(least)}` : `${least} to ${count(most)}`;
  };
  return [range(minimum, maximum), range(minLength, maxLength, 'character'), range(minItems, maxItems, 'entry', 'entries'), pattern && `pattern ${pattern}`]
    .filter(Boolean).join('; ');
}

/** What stands below a member: its own members, or those of its entries. */
function inner(schema, root) {
  if (schema.properties || choices(schema).length) return schema;
  if (schema.items) return inner(resolve(schema.items, root), root);
  if (schema.additionalProperties && typeof schema.additionalProperties === 'object') return inner(resolve(schema.additionalProperties, root), root);
  return null;
}

function Members({ schema, root, depth = 0 }) {
  const properties = Object.entries(schema.properties ?? {});
  return html`
    ${properties.length > 0 && html`<dl class="schema-members">${properties.map(([name, given]) => {
      const one = resolve(given, root);
      const below = depth < DEEPEST ? inner(one, root) : null;
      const limits = bounds(one);
      return html`
        <div key=${name}>
          <dt><code>${visible(name)}</code> <span class="faint">${visible(kind(one, root))}</span>${schema.required?.includes(name) && html` <${Badge} tone="info">required<//>`}</dt>
          <dd>${one.description && html`<p>${prose(one.description)}</p>`}
            ${(limits || 'default' in one) && html`<p class="hint">${visible([limits, 'default' in one && `without it: ${JSON.stringify(one.default)}`].filter(Boolean).join('; '))}</p>`}
            ${below && html`<${Members} schema=${below} root=${root} depth=${depth + 1} />`}</dd>
        </div>`;
    })}</dl>`}
    ${choices(schema).some((one) => resolve(one, root).properties) && html`
      ${choices(schema).map((given, at) => {
        const one = resolve(given, root);
        return one.properties && html`<div class="variant" key=${at}><p class="strong">${prose(one.title ?? one.description ?? `Form ${at + 1}`)}</p>
          ${depth < DEEPEST && html`<${Members} schema=${one} root=${root} depth=${depth + 1} />`}</div>`;
      })}`}`;
}

/** `text`: the schema as JSON text. */
export function Schema({ text }) {
  let root = null;
  try { root = JSON.parse(text); } catch { /* shown as it is */ }
  if (root === null || root === true) return html`<p class="faint">It says nothing of a schema.</p>`;
  const schema = typeof root === 'object' ? resolve(root, root) : {};
  return html`
    ${schema.description && html`<p>${prose(schema.description)}</p>`}
    <${Members} schema=${schema} root=${root} />
    <details class="folded"><summary>The schema itself</summary><${Code} text=${text} label="JSON Schema" /></details>`;
}
