// Keys: who else may ask.

import { html, useState } from '../../lib/html.js';
import { api, part, usePages } from '../../lib/api.js';
import { setQuery } from '../../lib/route.js';
import { Badge, Button, Confirm, Copy, Dialog, Empty, Field, Input, Listing, Problem, Select, Time, download, toast, visible } from '../../lib/ui.js';
import { Names, TenantField, useTenants } from '../deliveries/filters.js';

const ROLES = [['admin', 'admin: may do everything'], ['ingest', 'ingest: posts events, and nothing else'], ['tenant', 'tenant: manages what is one tenant’s']];
const LIVES = [['', 'never'], ['1d', 'in a day'], ['30d', 'in 30 days'], ['90d', 'in 90 days'], ['365d', 'in a year'], ['at', 'at a time …']];

export function Keys({ query }) {
  const tenants = useTenants();
  const pages = usePages('/v1/keys', { role: query.role, tenant: query.tenant });
  const [asked, setAsked] = useState(query.new != null ? { verb: 'create' } : null);
  const close = () => setAsked(null);
  const columns = [
    { head: 'Key', cell: (key) => html`<span class="named"><span class="mono">${key.id}</span>${key.expired && html`<${Badge} state="disabled">expired<//>`}</span>` },
    { head: 'Role', cell: (key) => key.role },
    { head: 'Tenant', cell: (key) => key.tenant ?? html`<span class="faint">${key.role === 'ingest' ? 'any' : '–'}</span>` },
    { head: 'Description', cell: (key) => visible(key.description) },
    { head: 'Created', cell: (key) => html`<${Time} at=${key.created_at} />` },
    { head: 'Ends', cell: (key) => html`<${Time} at=${key.expires_at} />` },
    { head: 'Actions', quiet: true, class: 'tight', cell: (key) => html`<${Button} kind="danger" aria-label=${`Revoke ${key.id}`} onClick=${() => setAsked({ verb: 'revoke', key })}>Revoke<//>` },
  ];
  const revoke = async (key) => {
    await api.delete(`/v1/keys/${part(key.id)}`);
    toast('The key opens nothing any more.');
    pages.reload();
  };
  return html`
    <div class="filters" role="search" aria-label="Filter keys">
      <${Field} label="Role">${(a) => html`<${Select} ...${a} value=${query.role ?? ''} onValue=${(role) => setQuery({ role })} options=${[['', 'any'], ...ROLES.map(([role]) => [role, role])]} />`}<//>
      <${TenantField} value=${query.tenant} tenants=${tenants} onTaken=${(tenant) => setQuery({ tenant })} />
      <${Button} kind="primary" icon="plus" onClick=${() => setAsked({ verb: 'create' })}>Create a key<//>
    </div>
    <${Listing} pages=${pages} caption="Keys, oldest first" columns=${columns} class="cards" empty=${html`
      <${Empty} title=${query.role || query.tenant ? 'No key fits these filters' : 'There are no further keys'}>The admin key of the server is not listed here.
        Make one for each producer and each tenant, so that each can be revoked by itself.<//>`} />
    ${asked?.verb === 'create' && html`<${Create} tenant=${query.tenant} tenants=${tenants} onMade=${(key) => { setAsked({ verb: 'show', key }); pages.reload(); }} onClose=${close} />`}
    ${asked?.verb === 'show' && html`<${ShownOnce} made=${asked.key} onClose=${close} />`}
    ${asked?.verb === 'revoke' && html`<${Confirm} title=${`Revoke ${asked.key.id}?`} verb="Revoke" act=${() => revoke(asked.key)} onClose=${close}>
      <p>Whoever uses it (${visible(asked.key.description || asked.key.role)}) is refused from now on. This cannot be taken back.</p><//>`}`;
}

function Create({ tenant: given = '', tenants, onMade, onClose }) {
  const [role, setRole] = useState(given ? 'tenant' : 'ingest');
  const [tenant, setTenant] = useState(given);
  const [description, setDescription] = useState('');
  const [life, setLife] = useState('');
  const [end, setEnd] = useState('');
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const wrong = (pointer) => error?.errors?.find((one) => one.pointer === pointer)?.message;
  const rest = error && !['/role', '/tenant', '/description', '/expires', '/expires_at'].some(wrong);
  const make = async (event) => {
    event.preventDefault();
    setBusy(true);
    const at = life === 'at' && end ? new Date(end).toISOString() : undefined;
    try {
      onMade(await api.post('/v1/keys', {
        role, tenant: role === 'admin' ? undefined : tenant.trim() || undefined, description: description.trim() || undefined,
        expires: life && life !== 'at' ? life : undefined, expires_at: at,
      }));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title="Create a key" onClose=${onClose}>
      <form onSubmit=${make}>
        <${Field} label="Role" error=${wrong('/role')}>${(a) => html`<${Select} ...${a} value=${role} onValue=${setRole} options=${ROLES} />`}<//>
        ${role !== 'admin' && html`<${Field} label="Tenant" optional=${role === 'ingest'} error=${wrong('/tenant')}
          hint=${role === 'ingest' ? 'With one, it posts events of that tenant alone.' : 'The rest does not exist for it.'}>${(a) => html`
          <${Input} ...${a} required=${role === 'tenant'} value=${tenant} list="key-tenants" onValue=${setTenant} /><${Names} id="key-tenants" names=${tenants.map((one) => one.id)} />`}<//>`}
        <${Field} label="Description" optional hint="Who uses it." error=${wrong('/description')}>${(a) => html`<${Input} ...${a} value=${description} onValue=${setDescription} />`}<//>
        <div class="columns">
          <${Field} label="Ends" error=${wrong('/expires')}>${(a) => html`<${Select} ...${a} value=${life} onValue=${setLife} options=${LIVES} />`}<//>
          ${life === 'at' && html`<${Field} label="End" error=${wrong('/expires_at')}>${(a) => html`<input ...${a} type="datetime-local" required value=${end} onInput=${(e) => setEnd(e.target.value)} />`}<//>`}
        </div>
        ${rest && html`<${Problem} error=${error} />`}
        <footer><${Button} onClick=${onClose}>Leave it<//><${Button} kind="primary" type="submit" busy=${busy}>Create<//></footer>
      </form>
    <//>`;
}

function ShownOnce({ made, onClose }) {
  const [taken, setTaken] = useState(false);
  const close = () => { if (taken || confirm('The key is never shown again. Close all the same?')) onClose(); };
  return html`
    <${Dialog} title="The key" onClose=${close}>
      <p>It is shown this once: the server keeps only its digest.</p>
      <p class="shown-once mono" tabindex="0" aria-label="Key" onCopy=${() => setTaken(true)}>${made.key}</p>
      <div class="row">
        <span onClick=${() => setTaken(true)}><${Copy} text=${made.key} label="Copy the key" /></span>
        <${Button} icon="down" onClick=${() => { download(`${made.id}.key`, `${made.key}\n`); setTaken(true); }}>Download<//>
      </div>
      <footer><${Button} kind="primary" onClick=${close}>I have it<//></footer>
    <//>`;
}
