// Tenants that somebody has described.

import { html, useState } from '../../lib/html.js';
import { usePages } from '../../lib/api.js';
import { go, link } from '../../lib/route.js';
import { Badge, Button, Dialog, Empty, Field, Input, Listing, Time, visible } from '../../lib/ui.js';

export function Tenants() {
  const pages = usePages('/v1/tenants', {});
  const [asked, setAsked] = useState(false);
  const columns = [
    { head: 'Tenant', cell: (tenant) => html`<span class="named"><a href=${link('settings', 'tenants', tenant.id)}>${tenant.id}</a>${tenant.offline && html`<${Badge} state="offline" />`}</span>` },
    { head: 'Description', cell: (tenant) => visible(tenant.description) },
    { head: 'Says', cell: (tenant) => said(tenant) },
    { head: 'Changed', class: 'tight', cell: (tenant) => html`<${Time} at=${tenant.updated_at} />` },
    { head: 'More', quiet: true, class: 'tight', cell: (tenant) => html`<a href=${link('endpoints', { tenant: tenant.id })}>Endpoints<span class="hidden"> of ${tenant.id}</span></a>` },
  ];
  return html`
    <p class="row end"><${Button} kind="primary" icon="plus" onClick=${() => setAsked(true)}>Describe a tenant<//></p>
    <${Listing} pages=${pages} caption="Tenants, by name" columns=${columns} class="cards" empty=${html`
      <${Empty} title="No tenant is described yet">A tenant needs no description to have endpoints and events. With one, it can have
        credentials and retries for all of its endpoints, a quota, and a switch of its own.<//>`} />
    ${asked && html`<${Name} onClose=${() => setAsked(false)} />`}`;
}

const MEMBERS = [['auth', 'authentication'], ['signature', 'signature'], ['retry', 'retries'], ['timeout', 'timeout'], ['success', 'success'], ['body', 'bytes of the body'], ['auto_disable', 'disabling'], ['transforms', 'transforms']];

const said = (tenant) => [
  ...MEMBERS.filter(([member]) => tenant[member] != null).map(([, text]) => text),
  Object.keys(tenant.headers ?? {}).length > 0 && 'headers',
  (tenant.quota?.ingest || tenant.quota?.stored_bytes != null) && 'quota',
].filter(Boolean).join(', ') || html`<span class="faint">nothing</span>`;

function Name({ onClose }) {
  const [id, setId] = useState('');
  const open = (event) => {
    event.preventDefault();
    go('settings', 'tenants', id.trim());
  };
  return html`
    <${Dialog} title="Describe a tenant" onClose=${onClose}>
      <form onSubmit=${open}>
        <${Field} label="Name of the tenant" hint="As in its events and endpoints: letters, digits, and _ . : -">${(a) => html`
          <${Input} ...${a} required pattern="[A-Za-z0-9_.:\\-]{1,64}" value=${id} onValue=${setId} />`}<//>
        <footer><${Button} onClick=${onClose}>Leave it<//><${Button} kind="primary" type="submit">Go on<//></footer>
      </form>
    <//>`;
}
