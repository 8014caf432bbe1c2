// Which events an endpoint listens to: from the catalogue by group, all of them, or patterns.

import { html, useEffect, useMemo, useRef, useState } from '../../lib/html.js';
import { number, plural, visible } from '../../lib/format.js';
import { Badge, Button, Check, Field, Input } from '../../lib/ui.js';

/** What the host tells of itself; `*` does not hold these. */
const OWN = [
  ['hookwright.endpoint.disabled', 'An endpoint was disabled: by request, after failures, or as its receiver is gone.'],
  ['hookwright.endpoint.recovered', 'A message arrived at an endpoint that had been failing.'],
  ['hookwright.delivery.failed', 'A delivery has ended and never arrived.'],
  ['hookwright.delivery.delivered', 'A message has arrived.'],
];
const OWN_GROUP = 'About the deliveries themselves';

/** Types from which on there is a field to search them. */
const SEARCH_FROM = 12;

const PATTERN = /^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$/;

/** Whether a pattern wants events of a type: `*`, `invoice.*`, `invoice.paid`. */
export function covers(pattern, type) {
  if (pattern === '*') return !type.startsWith('hookwright.');
  return pattern.endsWith('.*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type;
}

function groupsOf(types) {
  const groups = new Map();
  for (const type of types) {
    const name = type.group || 'Other';
    groups.set(name, [...(groups.get(name) ?? []), type]);
  }
  const own = OWN.map(([name, description]) => ({ name, description }));
  return [...[...groups].sort(([one], [other]) => one.localeCompare(other)), [OWN_GROUP, own]];
}

export function Subscription({ value, onValue, types, error }) {
  const [search, setSearch] = useState('');
  const groups = useMemo(() => groupsOf(types ?? []), [types]);
  const everything = value.includes('*');
  const listed = new Set(groups.flatMap(([, members]) => members.map((type) => type.name)));
  const free = value.filter((pattern) => pattern !== '*' && !listed.has(pattern));
  const set = (name, on) => onValue(on ? [...value, name] : value.filter((one) => one !== name));
  const fits = (type) => `${type.name} ${type.description}`.toLowerCase().includes(search.toLowerCase());
  return html`
    <fieldset class=${error ? 'wrong' : ''}>
      <legend>Events</legend>
      <p class="hint">${everything ? 'All events, those of types to come included.' : value.length ? `${plural(value.length, 'type or pattern', 'types or patterns')} chosen.` : 'Choose at least one.'}</p>
      <div class="row"><${Check} on=${everything} label="All events" onChange=${(on) => set('*', on)} /></div>
      <${Patterns} patterns=${free} onAdd=${(pattern) => !value.includes(pattern) && onValue([...value, pattern])} onRemove=${(pattern) => set(pattern, false)} />
      ${types && types.length >= SEARCH_FROM && html`<${Field} label="Find an event type">${(a) => html`<${Input} ...${a} type="search" value=${search} onValue=${setSearch} />`}<//>`}
      ${types?.length === 0 && html`<p class="hint">The catalogue is empty, so there is nothing to pick from. “All events” and patterns work all the same.</p>`}
      <div class="groups">${groups.map(([name, members]) => html`
        <${Group} key=${name} name=${name} members=${members.filter(fits)} value=${value} onValue=${onValue} set=${set} />`)}</div>
      ${error && html`<p class="error">${visible(error)}</p>`}
    </fieldset>`;
}

function Group({ name, members, value, onValue, set }) {
  const whole = useRef(null);
  // Chosen by a wider pattern, so there is nothing to choose here.
  const by = (type) => value.find((pattern) => pattern !== type.name && covers(pattern, type.name));
  const open = members.filter((type) => !by(type));
  const chosen = open.filter((type) => value.includes(type.name)).length;
  useEffect(() => { if (whole.current) whole.current.indeterminate = chosen > 0 && chosen < open.length; });
  if (members.length === 0) return null;
  const setAll = (on) => {
    const names = new Set(open.map((type) => type.name));
    const rest = value.filter((pattern) => !names.has(pattern));
    onValue(on ? [...rest, ...names] : rest);
  };
  return html`
    <div class="group" role="group" aria-label=${visible(name)}>
      <label class="check strong"><input type="checkbox" ref=${whole} disabled=${open.length === 0} checked=${open.length === 0 || chosen === open.length}
        onChange=${(e) => setAll(e.target.checked)} /><span>${visible(name)} <span class="faint nowrap">(${number(members.length)})</span></span></label>
      <ul class="plain">${members.map((type) => {
        const pattern = by(type);
        return html`<li key=${type.name}>
          <label class="check"><input type="checkbox" checked=${!!pattern || value.includes(type.name)} disabled=${!!pattern} onChange=${(e) => set(type.name, e.target.checked)} />
            <span><span class="mono">${type.name}</span>${type.deprecated && html` <${Badge} state="deprecated" />`}${pattern && html` <span class="faint">by ${pattern === '*' ? 'all' : pattern}</span>`}
              ${type.description && html`<span class="hint block">${visible(type.description)}</span>`}</span></label></li>`;
      })}</ul>
    </div>`;
}

/** Patterns, and types that the catalogue does not list. */
function Patterns({ patterns, onAdd, onRemove }) {
  const [text, setText] = useState('');
  const [error, setError] = useState(null);
  const add = () => {
    const names = text.split(/[\s,]+/).filter(Boolean);
    const wrong = names.find((name) => !PATTERN.test(name));
    if (wrong) {
      setError(`“${wrong}” is no pattern. It takes a type such as invoice.paid, or invoice.* for all below it.`);
      return;
    }
    names.forEach(onAdd);
    setText('');
    setError(null);
  };
  const key = (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    add();
  };
  return html`
    <${Field} label="Types and patterns" optional hint="invoice.* takes all below it, those to come included." error=${error}>${(a) => html`
      <div class="row joined"><${Input} ...${a} class="mono" placeholder="invoice.*" value=${text} onValue=${setText} onKeyDown=${key} /><${Button} onClick=${add} disabled=${!text.trim()}>Add<//></div>`}<//>
    ${patterns.length > 0 && html`<ul class="chips">${patterns.map((pattern) => html`
      <li key=${pattern}><span class="mono">${visible(pattern)}</span><button type="button" aria-label=${`Remove ${pattern}`} onClick=${() => onRemove(pattern)}>×</button></li>`)}</ul>`}`;
}
