// One tenant: what holds for all of its endpoints, its quota, its switch, and a link that opens it for a customer.

import { html, useState } from '../../lib/html.js';
import { api, part, useLoad } from '../../lib/api.js';
import { go, link, useUnsaved } from '../../lib/route.js';
import { Button, ButtonLink, Card, Check, Confirm, Copy, Dialog, Facts, Field, Input, Page, Problem, Select, Spinner, Time, toast } from '../../lib/ui.js';
import { Offline } from './offline.js';
import { PLACES, TermsForm, changes, faults, formOf, wrongIn } from './terms.js';

const UNDESCRIBED = { description: '', quota: { ingest: null, stored_bytes: null }, headers: {}, offline: false, isNew: true };

async function look(path, signal) {
  try {
    return await api.get(path, {}, { signal, keep: ['transforms'] });
  } catch (error) {
    if (error.status === 404) return UNDESCRIBED;
    throw error;
  }
}

export function Tenant({ id }) {
  const path = `/v1/tenants/${part(id)}`;
  const { data, error, reload, set } = useLoad((signal) => look(path, signal), [path]);
  const [saves, setSaves] = useState(0);
  const [asked, setAsked] = useState(null);
  const [force, setForce] = useState(false);
  const change = async (patch, options) => {
    set(await api.patch(path, patch, { keep: ['transforms'], ...options }));
    toast('Saved.');
  };
  // The switch alone leaves what is typed into the form below it.
  const save = async (...said) => {
    await change(...said);
    setSaves((count) => count + 1);
  };
  const remove = async () => {
    await api.delete(path, { values: { force: force || undefined } });
    toast(`Nothing is said of ${id} any more.`);
    go('settings', 'tenants');
  };
  const actions = data && html`
    <${ButtonLink} href=${link('endpoints', { tenant: id })}>Endpoints<//>
    <${ButtonLink} href=${link('settings', 'keys', { tenant: id })}>Keys<//>
    <${Button} onClick=${() => setAsked('portal')}>Portal link<//>
    ${!data.isNew && html`<${Button} kind="danger" onClick=${() => setAsked('delete')}>Delete<//>`}`;
  return html`
    <${Page} title=${`Tenant ${id}`} back=${{ href: link('settings', 'tenants'), text: 'Tenants' }} actions=${actions}>
      <${Problem} error=${error} retry=${reload} />
      ${!data && !error && html`<${Spinner} />`}
      ${data?.isNew && html`<p class="note">Nobody has described this tenant yet. Saving does.</p>`}
      ${data && html`
        <${Offline} state=${data} whose="of this tenant" change=${change} />
        <${Form} key=${saves} data=${data} change=${save} />`}
      ${asked === 'portal' && html`<${Portal} id=${id} onClose=${() => setAsked(null)} />`}
      ${asked === 'delete' && html`<${Confirm} title=${`Forget what was said of ${id}?`} verb="Delete" act=${remove} onClose=${() => setAsked(null)}>
        <p>Its credentials, defaults and quota are lost. While it has endpoints this is refused.</p>
        <p><${Check} on=${force} onChange=${setForce} label="Delete its endpoints as well, and revoke its keys" /></p><//>`}
    <//>`;
}

const quotaOf = ({ ingest, stored_bytes: bytes }) => ({ requests: ingest ? String(ingest.requests) : '', per: ingest?.per ?? '1s', bytes: bytes == null ? '' : String(bytes) });

const whole = (text) => (/^\d+$/.test(text.trim()) ? Number(text) : text.trim());

function quotaChange(quota) {
  return {
    ingest: quota.requests.trim() ? { requests: whole(quota.requests), per: quota.per.trim() } : null,
    stored_bytes: quota.bytes.trim() ? whole(quota.bytes) : null,
  };
}

function Form({ data, change }) {
  const [start] = useState(() => ({ description: data.description, quota: quotaOf(data.quota), terms: formOf(data) }));
  const [form, setForm] = useState(start);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const dirty = JSON.stringify(form) !== JSON.stringify(start);
  useUnsaved(dirty);
  const wrong = wrongIn(dirty ? error : null);
  const places = ['/description', '/quota/ingest', '/quota/stored_bytes', ...PLACES];
  const elsewhere = error && !places.some(wrong);
  const save = async (event) => {
    event.preventDefault();
    const found = faults(form.terms);
    if (found.length) { setError({ errors: found }); return; }
    const members = changes(start.terms, form.terms);
    if (form.description !== start.description || data.isNew) members.push(`"description":${JSON.stringify(form.description)}`);
    if (JSON.stringify(form.quota) !== JSON.stringify(start.quota)) members.push(`"quota":${JSON.stringify(quotaChange(form.quota))}`);
    setBusy(true);
    setError(null);
    try {
      await change(`{${members.join(',')}}`, { raw: true });
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const set = (part) => setForm((old) => ({ ...old, ...part }));
  const setQuota = (part) => set({ quota: { ...form.quota, ...part } });
  return html`
    <form onSubmit=${save}>
      <${Card} title="Description and quota">
        <${Field} label="Description" optional error=${wrong('/description')}>${(a) => html`<${Input} ...${a} value=${form.description} onValue=${(description) => set({ description })} />`}<//>
        <div class="columns">
          <${Field} label="Most events" optional hint="That it may post in the span beside, on each host." error=${wrong('/quota/ingest')}>${(a) => html`
            <${Input} ...${a} inputmode="numeric" value=${form.quota.requests} onValue=${(requests) => setQuota({ requests })} />`}<//>
          <${Field} label="In a span of" hint="1s, 1m, 1h">${(a) => html`<${Input} ...${a} value=${form.quota.per} onValue=${(per) => setQuota({ per })} />`}<//>
          <${Field} label="Most bytes of payloads" optional hint="That are kept for it." error=${wrong('/quota/stored_bytes')}>${(a) => html`
            <${Input} ...${a} inputmode="numeric" value=${form.quota.bytes} onValue=${(bytes) => setQuota({ bytes })} />`}<//>
        </div>
      <//>
      <${TermsForm} form=${form.terms} onForm=${(terms) => set({ terms })} wrong=${wrong} next="the host" />
      ${elsewhere ? html`<${Problem} error=${error} />` : error && dirty && html`<p class="error" role="alert">It is not saved: see what is wrong above.</p>`}
      <footer class="sticky-foot">${dirty && html`<${Button} onClick=${() => setForm(start)}>Undo changes<//>`}
        <${Button} kind="primary" type="submit" busy=${busy} disabled=${!dirty && !data.isNew}>Save<//></footer>
    </form>`;
}

function Portal({ id, onClose }) {
  const [life, setLife] = useState('1h');
  const [made, setMade] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const make = async () => {
    setBusy(true);
    setError(null);
    try {
      setMade(await api.post(`/v1/tenants/${part(id)}/portal`, { expires: life }));
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  const address = made && `${location.origin}${made.path}`;
  const framed = made && `${location.origin}${made.path.replace('/#', '/?embed=1#')}`;
  return html`
    <${Dialog} title="A link to this tenant’s portal" onClose=${onClose}>
      <p>Whoever has the link sees and manages what is of <strong>${id}</strong>, and nothing else, until it ends.</p>
      <${Field} label="It is good for">${(a) => html`<${Select} ...${a} value=${life} onValue=${(word) => { setLife(word); setMade(null); }}
        options=${[['15m', '15 minutes'], ['1h', 'an hour'], ['8h', '8 hours'], ['24h', 'a day']]} />`}<//>
      <${Problem} error=${error} />
      ${made && html`
        <p class="strong">The link</p>
        <p class="shown-once mono" tabindex="0" aria-label="Link">${address}</p><p><${Copy} text=${address} label="Copy the link" /></p>
        <p class="strong">For a frame, from an origin that the configuration allows</p>
        <p class="shown-once mono" tabindex="0" aria-label="Link for a frame">${framed}</p><p><${Copy} text=${framed} label="Copy the link for a frame" /></p>
        <${Facts} pairs=${[['It ends', html`<${Time} at=${made.expires_at} />`]]} />`}
      <footer><${Button} onClick=${onClose}>Close<//>${!made && html`<${Button} kind="primary" busy=${busy} onClick=${make}>Make a link<//>`}</footer>
    <//>`;
}
