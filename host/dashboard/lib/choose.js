// Choices that several pages offer: one of a few words, and one tenant.

import { html, useEffect, useState } from './html.js';
import { all } from './api.js';

let names = 0;

/** One of a few, side by side. `options`: `[[word, text], ...]`. */
export function Segments({ label, value, options, onValue }) {
  const [name] = useState(() => `segments-${(names += 1)}`);
  return html`
    <fieldset class="segments"><legend class="hidden">${label}</legend>${options.map(([word, text]) => html`
      <label key=${word}><input type="radio" name=${name} value=${word} checked=${word === value} onChange=${() => onValue(word)} /><span>${text}</span></label>`)}
    </fieldset>`;
}

/** Which tenant's things are shown. Tenants need not be described to exist, so any name may be typed. */
export function TenantFilter({ value = '', onValue }) {
  const [text, setText] = useState(value);
  const tenants = useTenants();
  useEffect(() => setText(value), [value]);
  const take = () => { if (text.trim() !== value) onValue(text.trim()); };
  const typed = (event) => {
    setText(event.target.value);
    // What is picked from the list, or emptied, holds at once; what is typed holds with Enter or on leaving.
    if (event.target.value === '' || ((!event.inputType || event.inputType === 'insertReplacementText') && tenants.includes(event.target.value))) onValue(event.target.value);
  };
  return html`
    <div class="field">
      <label for="tenant-filter">Tenant</label>
      <input id="tenant-filter" type="search" list="tenants" placeholder="all" autocomplete="off" spellcheck=${false} value=${text}
        onInput=${typed} onBlur=${take} onKeyDown=${(e) => { if (e.key === 'Enter') take(); }} />
      <${TenantNames} tenants=${tenants} />
    </div>`;
}

export const TenantNames = ({ tenants }) => html`
  <datalist id="tenants">${tenants.map((tenant) => html`<option key=${tenant} value=${tenant} />`)}</datalist>`;

/** The tenants that somebody has described. */
export function useTenants() {
  const [tenants, setTenants] = useState([]);
  useEffect(() => {
    all('/v1/tenants').then((items) => setTenants(items.map((tenant) => tenant.id))).catch(() => {});
  }, []);
  return tenants;
}
