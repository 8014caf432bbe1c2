// The form that makes an endpoint or changes one.

import { html, useContext, useEffect, useMemo, useRef, useState } from '../../lib/html.js';
import { all, api, useLoad } from '../../lib/api.js';
import { ChainEditor } from '../../lib/chain.js';
import { TenantNames, useTenants } from '../../lib/choose.js';
import { duration, seconds, visible } from '../../lib/format.js';
import { parseKeeping } from '../../lib/json.js';
import { go, link, useUnsaved } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Area, Button, ButtonLink, Card, Check, Field, Input, Page, Problem, Select, Spinner, toast } from '../../lib/ui.js';
import { MASK, NEWEST, blank, change, copyOf, creation, formOf } from './form.js';
import { SecretDialog, path } from './parts.js';
import { RetryFields, told } from './retry.js';
import { Subscription } from './subscription.js';

/** Fetches what the form needs to begin with: an endpoint, what is inherited, the catalogue. */
export function Edit({ id, from, query }) {
  const session = useContext(Session);
  const admin = session.role === 'admin';
  const types = useLoad((signal) => all('/v1/event-types', {}, { signal }), []);
  const start = useLoad(async (signal) => {
    const source = id ?? from;
    // What a new one inherits can come when the form is there already.
    if (!source) return { endpoint: null };
    const endpoint = await api.get(path(source), undefined, { signal, keep: ['config'] });
    const inherited = await inheritedBy(endpoint.tenant, admin, signal);
    return { endpoint, inherited };
  }, [id, from]);
  const [chain] = useState(() => (id || from ? null : handedOver()));
  const title = id ? 'Edit the endpoint' : 'Add an endpoint';
  const back = id ? { href: link('endpoints', id), text: start.data?.endpoint.name ?? 'The endpoint' } : { href: link('endpoints'), text: 'Endpoints' };
  if (start.error) return html`<${Page} title=${title} back=${back}><${Problem} error=${start.error} retry=${start.reload} /><//>`;
  if (!start.data) return html`<${Page} title=${title} back=${back}><${Spinner} /><//>`;
  const { endpoint, inherited } = start.data;
  const others = Object.keys(inherited?.headers ?? {});
  const initial = !endpoint ? blank(query.tenant ?? '') : id ? formOf(endpoint, others) : copyOf(endpoint, others);
  return html`<${Page} title=${title} back=${back}><${Form} endpoint=${id ? endpoint : null} copied=${!id && endpoint} initial=${initial} chain=${chain} others=${inherited} types=${types.data} admin=${admin} /><//>`;
}

/** Where the bench leaves a chain that is to become an endpoint's. It is taken once. */
const HANDED_OVER = 'hookwright.chain';

function handedOver() {
  try {
    const text = sessionStorage.getItem(HANDED_OVER);
    sessionStorage.removeItem(HANDED_OVER);
    return text && parseKeeping(text, ['config']);
  } catch {
    return null;
  }
}

/**
 * What the tenant and the host say for an endpoint that says nothing: an endpoint that nobody makes, as it would be.
 * `null` where that cannot be told.
 */
async function inheritedBy(tenant, admin, signal) {
  const nothing = { name: 'what is inherited', url: 'https://example.com/', events: ['*'], ...(admin && tenant && { tenant }) };
  try {
    return await api.post('/v1/endpoints?dry_run=true', nothing, { signal, keep: ['config'] });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    return null;
  }
}

function Form({ endpoint, copied, initial, chain, others, types, admin }) {
  const [before] = useState(initial);
  const [form, setForm] = useState(() => (chain ? { ...initial, ownChain: true, transforms: chain } : initial));
  const [inherited, setInherited] = useState(others);
  const [busy, setBusy] = useState(false);
  const [saved, setSaved] = useState(null);
  const [failed, setFailed] = useState(null);
  const set = (members) => setForm((old) => ({ ...old, ...members }));
  const dirty = !saved && JSON.stringify(form) !== JSON.stringify(before);
  useUnsaved(dirty);
  // After the effect above, so that leaving does not ask.
  useEffect(() => { if (saved && !saved.show) go('endpoints', saved.endpoint.id); }, [saved]);
  const error = useErrors(failed, form);
  const place = useRef(null);
  useEffect(() => {
    if (!failed) return undefined;
    // Sections that hold something wrong have to open first.
    const timer = setTimeout(() => place.current?.querySelector('[aria-invalid=true]')?.focus(), 50);
    return () => clearTimeout(timer);
  }, [failed]);
  useEffect(() => {
    if (form.tenant === before.tenant && inherited === others && others !== undefined) return undefined;
    const abort = new AbortController();
    const look = async () => {
      const found = await inheritedBy(form.tenant.trim() || undefined, admin, abort.signal).catch(() => null);
      if (!abort.signal.aborted) setInherited(found);
    };
    const timer = setTimeout(look, inherited === undefined ? 0 : PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [form.tenant]);
  const save = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      setSaved(await (endpoint ? amend(endpoint, form, before) : make(form)));
    } catch (problem) {
      setFailed({ problem, form });
      setBusy(false);
    }
  };
  const props = { form, set, error, inherited, endpoint };
  return html`
    <form class="endpoint-form" onSubmit=${save} ref=${place} novalidate>
      ${copied && html`<p class="note">A copy of “${visible(copied.name)}”. What is sealed cannot be copied: the path of its URL, credentials, values of headers, and the texts in configurations of plugins. Fill these in again.</p>`}
      <${Card} title="What and where"><${Basics} ...${props} admin=${admin} onTenant=${(tenant) => set({ tenant })} /><//>
      <${Card} title="What it listens to">
        <${Subscription} value=${form.events} onValue=${(events) => set({ events })} types=${types} error=${error('/events', true)} />
        <${Field} label="Channels" optional hint="With channels, only events that share one come. Names, with commas between them." error=${error('/channels', true)}>${(a) => html`
          <${Input} ...${a} value=${form.channels} onValue=${(channels) => set({ channels })} />`}<//>
      <//>
      <${Card} title="What becomes of the payload"><${Chain} ...${props} /><//>
      <${Fold} title="Authentication and headers" summary=${authTold(form)} error=${error('/auth', true) || error('/headers', true)}><${Authentication} ...${props} /><//>
      <${Fold} title="Signature" summary=${signatureTold(form, inherited)} error=${error('/signature', true) || error('/secret')}><${Signature} ...${props} /><//>
      <${Fold} title="Retries and failures" summary=${retryTold(form, inherited)} error=${['/retry', '/timeout', '/success', '/auto_disable'].some((pointer) => error(pointer, true))}><${Retries} ...${props} /><//>
      <${Fold} title="Pace and order" summary=${paceTold(form)} error=${['/rate_limit', '/concurrency', '/order'].some((pointer) => error(pointer, true))}><${Pace} ...${props} /><//>
      ${!endpoint && html`<p><${Check} on=${!form.enabled} label="Begin disabled: events wait until it is enabled" onChange=${(on) => set({ enabled: !on })} /></p>`}
      <${Problem} error=${failed && (!failed.problem.errors?.length || error.list.length > 0) ? failed.problem : null} />
      <footer class="save-bar">
        ${dirty && html`<span class="faint">Not saved yet</span>`}
        <${ButtonLink} href=${endpoint ? link('endpoints', endpoint.id) : link('endpoints')}>Cancel<//>
        <${Button} kind="primary" type="submit" busy=${busy}>${endpoint ? 'Save' : 'Create the endpoint'}<//>
      </footer>
    </form>
    ${saved?.show && html`<${SecretDialog} endpoint=${saved.endpoint} title=${`“${visible(saved.endpoint.name)}” is created`} onClose=${() => setSaved({ ...saved, show: false })} />`}`;
}

async function make(form) {
  const endpoint = await api.post('/v1/endpoints', creation(form), { raw: true, keep: ['config'] });
  return { endpoint, show: true };
}

async function amend(endpoint, form, before) {
  const body = change(form, before);
  const changed = body ? await api.patch(path(endpoint.id), body, { raw: true, keep: ['config'] }) : endpoint;
  toast(body ? 'Saved.' : 'Nothing was changed.');
  return { endpoint: changed, show: false };
}

/**
 * What the server said is wrong, by its place: `error('/url')`, and with `below` also what is wrong inside. It is gone
 * once the member is changed.
 */
function useErrors(failed, form) {
  return useMemo(() => {
    const members = { tenant: 'tenant', rate_limit: 'rate', auto_disable: 'disable' };
    const asked = (pointer) => {
      const top = pointer.split('/')[1];
      const member = members[top] ?? top;
      return failed.form[member] === form[member];
    };
    const errors = failed?.problem.errors?.filter((one) => asked(one.pointer)) ?? [];
    return Object.assign((pointer, below) => errors.find((one) => one.pointer === pointer || (below && one.pointer.startsWith(`${pointer}/`)))?.message, { list: errors });
  }, [failed, form]);
}

/** A section that is opened when it is needed, or when something in it is wrong. */
function Fold({ title, summary, error, children }) {
  const [open, setOpen] = useState(false);
  useEffect(() => { if (error) setOpen(true); }, [!!error]);
  return html`
    <details class="card fold-card" open=${open} onToggle=${(e) => setOpen(e.target.open)}>
      <summary><h2>${title}</h2><span class="faint">${summary}</span></summary>
      ${open && html`<div class="fold-body">${children}</div>`}
    </details>`;
}

function Basics({ form, set, error, endpoint, admin, onTenant }) {
  const versions = useLoad((signal) => api.get('/v1/versions', undefined, { signal, keep: ['config'] }), []);
  return html`
    <${Field} label="Name" hint="Such as “Website events to Zapier”." error=${error('/name')}>${(a) => html`
      <${Input} ...${a} required maxlength="200" value=${form.name} onValue=${(name) => set({ name })} />`}<//>
    <${Url} form=${form} set=${set} endpoint=${endpoint} error=${error('/url')} />
    <${Field} label="Description" optional error=${error('/description')}>${(a) => html`
      <${Area} ...${a} class="plain-text" rows="2" maxlength="2000" value=${form.description} onValue=${(description) => set({ description })} />`}<//>
    <div class="columns">
      ${admin && !endpoint && html`<${TenantField} form=${form} onTenant=${onTenant} error=${error('/tenant')} />`}
      <${Version} form=${form} set=${set} versions=${versions.data?.versions} endpoint=${endpoint} error=${error('/version')} />
    </div>
    ${admin && endpoint && html`<p class="hint">It belongs to the tenant ${endpoint.tenant}, and stays there.</p>`}`;
}

function TenantField({ form, onTenant, error }) {
  const tenants = useTenants();
  return html`<${Field} label="Tenant" optional hint="Whose events it gets. Left empty: default." error=${error}>${(a) => html`
    <${Input} ...${a} list="tenants" placeholder="default" value=${form.tenant} onValue=${onTenant} /><${TenantNames} tenants=${tenants} />`}<//>`;
}

/** How long typing has to pause before a URL is checked. */
const PAUSE_MS = 350;

/** The host's own rule judges the URL as it is typed. */
function Url({ form, set, endpoint, error }) {
  const [checked, setChecked] = useState({ url: null });
  const url = form.url.trim();
  const shown = endpoint?.url;
  useEffect(() => {
    if (!url || url === shown) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      setChecked({ url, message: await judge(url, endpoint, form.tenant.trim(), abort.signal) });
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [url, endpoint?.id, form.tenant]);
  const current = checked.url === url && url !== shown;
  const hint = url === shown && shown.includes(MASK) ? 'The path is sealed. Leave it so to keep the URL, or give the whole of a new one.'
    : current && checked.message === null ? 'This URL can be used.' : 'Where events are sent: https, or what the operator of the host allows.';
  return html`<${Field} label="URL" class=${current && checked.message === null ? 'right' : ''} hint=${hint} error=${(current && checked.message) || error}>${(a) => html`
    <${Input} ...${a} type="url" class="mono" required placeholder="https://example.com/webhooks" value=${form.url} onValue=${(value) => set({ url: value })} />`}<//>`;
}

/** What is wrong with a URL; `null` where nothing is, `undefined` where it cannot be told now. */
async function judge(url, endpoint, tenant, signal) {
  try {
    if (endpoint) await api.patch(`${path(endpoint.id)}?dry_run=true`, { url }, { signal });
    else await api.post('/v1/endpoints?dry_run=true', { name: 'a URL', url, events: ['*'], ...(tenant && { tenant }) }, { signal });
    return null;
  } catch (problem) {
    return problem.errors?.find((one) => one.pointer === '/url')?.message;
  }
}

function Version({ form, set, versions, endpoint, error }) {
  if (!versions?.length && !form.version) return null;
  const newest = versions?.at(-1)?.name;
  const options = [
    !endpoint && [NEWEST, newest ? `The newest of now (${newest})` : 'The newest of now'],
    endpoint && ['', 'Always the newest, whatever that is'],
    ...[...(versions ?? [])].reverse().map(({ name, description }) => [name, description ? `${name}: ${visible(description)}` : name]),
  ].filter(Boolean);
  if (!versions?.length) return null;
  return html`<${Field} label="Version" hint="It keeps the shape of the payloads as it is, while newer ones come." error=${error}>${(a) => html`
    <${Select} ...${a} value=${form.version} options=${options} onValue=${(version) => set({ version })} />`}<//>`;
}

function Chain({ form, set, error, inherited, endpoint }) {
  const theirs = inherited?.transforms ?? (endpoint?.inherited.includes('transforms') ? endpoint.transforms : []) ?? [];
  const errors = error.list.filter((one) => one.pointer.startsWith('/transforms'));
  const names = theirs.map((one) => one.plugin).join(' → ');
  const edited = (transforms) => set({ transforms, ownChain: transforms.length > 0 || theirs.length > 0 || form.ownChain });
  const inheritedShown = !form.ownChain && theirs.length > 0;
  return html`
    ${inheritedShown ? html`
      <p>It takes the chain that the tenant or the host gives to all: <span class="mono">${visible(names)}</span>.</p>
      <p><${Button} onClick=${() => set({ ownChain: true })}>Give it a chain of its own<//></p>` : html`
      <p class="hint">Plugins, one after the other: each gets what the one before made, and can change it or drop it. Without any, the payload goes out as it came.</p>
      <${ChainEditor} value=${form.transforms} onValue=${edited} errors=${errors} tenant=${form.tenant} />
      ${theirs.length > 0 && html`<p class="row"><${Button} onClick=${() => set({ ownChain: false, transforms: [] })}>Take the inherited chain instead<//><span class="faint mono">${visible(names)}</span></p>`}`}
    <${Field} label="Bytes of the body" error=${error('/body')} hint="In the second form a receiver that parses the JSON and writes it again gets the same bytes, and can verify a signature over them.">${(a) => html`
      <${Select} ...${a} value=${form.body} onValue=${(body) => set({ body })} options=${[
        ['', inheritedText(inherited?.body && BODIES[inherited.body])], ['as-is', BODIES['as-is']], ['ecmascript', BODIES.ecmascript],
      ]} />`}<//>`;
}

const BODIES = { 'as-is': 'As they come out of the chain', ecmascript: 'As JSON.stringify(JSON.parse(body)) gives them' };

/** The choice to say nothing, and what holds then. */
const inheritedText = (what) => `As the tenant or the host says${what ? ` (${what})` : ''}`;

const AUTH = { none: 'none', basic: 'user and password', bearer: 'bearer token' };

function authTold({ auth, headers }) {
  const word = auth.mode === 'inherited' ? 'inherited' : AUTH[auth.mode];
  const own = headers.filter(({ name }) => name.trim()).length;
  return `${word[0].toUpperCase()}${word.slice(1)}${own ? `, ${own} ${own === 1 ? 'header' : 'headers'}` : ''}`;
}

function Authentication({ form: { auth, headers }, set, error, inherited }) {
  const put = (members) => set({ auth: { ...auth, ...members } });
  const kept = auth.stored === auth.mode ? 'Left empty, what is stored stays.' : null;
  return html`
    <${Field} label="Authentication" error=${error('/auth') ?? error('/auth/type')}>${(a) => html`
      <${Select} ...${a} value=${auth.mode} onValue=${(mode) => put({ mode })} options=${[
        ['inherited', inheritedText(inherited && (AUTH[inherited.auth?.type] ?? 'none'))], ['none', 'None'], ['basic', 'User and password (Basic)'], ['bearer', 'Bearer token'],
      ]} />`}<//>
    ${auth.mode === 'basic' && html`
      <div class="columns">
        <${Field} label="User name" hint=${kept} error=${error('/auth/username')}>${(a) => html`<${Input} ...${a} value=${auth.username} onValue=${(username) => put({ username })} />`}<//>
        <${Field} label="Password" hint=${kept} error=${error('/auth/password')}>${(a) => html`<${Input} ...${a} type="password" autocomplete="new-password" value=${auth.password} onValue=${(password) => put({ password })} />`}<//>
      </div>`}
    ${auth.mode === 'bearer' && html`
      <${Field} label="Token" hint=${kept} error=${error('/auth/token')}>${(a) => html`<${Input} ...${a} type="password" autocomplete="new-password" value=${auth.token} onValue=${(token) => put({ token })} />`}<//>`}
    <${OwnHeaders} headers=${headers} onValue=${(value) => set({ headers: value })} error=${error} inherited=${Object.keys(inherited?.headers ?? {})} />`;
}

const escaped = (name) => name.replaceAll('~', '~0').replaceAll('/', '~1');

function OwnHeaders({ headers, onValue, error, inherited }) {
  const put = (at, members) => onValue(headers.map((header, index) => (index === at ? { ...header, ...members } : header)));
  return html`
    <fieldset>
      <legend>Headers of its own</legend>
      ${inherited.length > 0 && html`<p class="hint">From the tenant or the host: <span class="mono">${visible(inherited.join(', '))}</span>. One of the same name here takes its place.</p>`}
      ${headers.map((header, at) => {
        const wrong = error(`/headers/${escaped(header.name.trim())}`);
        return html`<div class="header-row" key=${at}>
          <${Field} label="Name" error=${wrong}>${(a) => html`<${Input} ...${a} class="mono" placeholder="X-Environment" value=${header.name} onValue=${(name) => put(at, { name })} />`}<//>
          <${Field} label="Value" hint=${header.stored && header.stored === header.name.trim() ? 'Left empty, what is stored stays.' : null}>${(a) => html`
            <${Input} ...${a} value=${header.value} onValue=${(value) => put(at, { value })} />`}<//>
          <${Button} kind="quiet" icon="close" aria-label=${`Remove the header ${header.name || at + 1}`} onClick=${() => onValue(headers.filter((_, index) => index !== at))} />
        </div>`;
      })}
      <${Button} icon="plus" onClick=${() => onValue([...headers, { name: '', value: '' }])}>Add a header<//>
      ${error('/headers') && html`<p class="error">${visible(error('/headers'))}</p>`}
    </fieldset>`;
}

const SCHEMES = { standard: 'Standard Webhooks', 'standard-asymmetric': 'Standard Webhooks with a key pair (Ed25519)', 'hmac-sha256': 'HMAC-SHA256 in a header of your own' };
const SECRETS = {
  standard: 'whsec_ and base64.',
  'standard-asymmetric': 'A private key: whsk_ and base64.',
  'hmac-sha256': '16 to 256 visible ASCII characters.',
};

const schemeOf = (form, inherited) => (form.signature.mode === 'inherited' ? inherited?.signature?.scheme : form.signature.mode);
const signatureTold = (form, inherited) => `${SCHEMES[schemeOf(form, inherited)] ?? 'Inherited'}${form.signature.mode === 'inherited' ? ', inherited' : ''}`;

function Signature({ form, set, error, inherited, endpoint }) {
  const { signature } = form;
  const put = (members) => set({ signature: { ...signature, ...members } });
  return html`
    <${Field} label="Scheme" error=${error('/signature') ?? error('/signature/scheme')} hint="How a receiver sees that a request came from here.">${(a) => html`
      <${Select} ...${a} value=${signature.mode} onValue=${(mode) => put({ mode })} options=${[
        ['inherited', inheritedText(SCHEMES[inherited?.signature?.scheme])], ...Object.entries(SCHEMES),
      ]} />`}<//>
    ${signature.mode === 'hmac-sha256' && html`
      <div class="columns">
        <${Field} label="Header" error=${error('/signature/header')}>${(a) => html`<${Input} ...${a} class="mono" placeholder="X-Signature" value=${signature.header} onValue=${(header) => put({ header })} />`}<//>
        <${Field} label="Prefix" optional hint="Before the hex digits, such as sha256=" error=${error('/signature/prefix')}>${(a) => html`<${Input} ...${a} class="mono" value=${signature.prefix} onValue=${(prefix) => put({ prefix })} />`}<//>
      </div>`}
    ${endpoint ? html`<p class="hint">The secret is changed by rotating it, on the endpoint’s page.</p>` : html`
      <${Field} label="A secret of your own" optional hint=${`Left empty, one is made and shown once. ${SECRETS[schemeOf(form, inherited)] ?? ''}`} error=${error('/secret')}>${(a) => html`
        <${Input} ...${a} type="password" autocomplete="new-password" value=${form.secret} onValue=${(secret) => set({ secret })} />`}<//>`}`;
}

function retryTold(form, inherited) {
  if (form.retry.mode === 'inherited') {
    const policy = inherited?.retry;
    return policy ? `${told(policy).split(':')[0]}, inherited` : 'Inherited';
  }
  return { schedule: `After ${form.retry.schedule}`, every: `Every ${form.retry.every}`, once: 'One attempt' }[form.retry.mode];
}

const successTold = (success) => success && (success === '2xx' ? 'any 2xx' : success.join(', '));
const disableTold = (said) => said && (said === 'off' ? 'never' : [said.failures && `after ${said.failures} failures in a row`, said.after && `after ${duration(seconds(said.after))} of failing`].filter(Boolean).join(', or '));

function Retries({ form, set, error, inherited }) {
  const { success, disable } = form;
  return html`
    <${RetryFields} value=${form.retry} onValue=${(retry) => set({ retry })} error=${error} inherited=${inherited?.retry} />
    <div class="columns">
      <${Field} label="Timeout" optional hint=${`For a whole attempt: 10s, 500ms. Left empty: as the tenant or the host says${inherited?.timeout ? ` (${inherited.timeout})` : ''}.`} error=${error('/timeout')}>${(a) => html`
        <${Input} ...${a} class="mono" placeholder=${inherited?.timeout ?? ''} value=${form.timeout} onValue=${(timeout) => set({ timeout })} />`}<//>
      <${Field} label="Success" error=${success.mode === 'list' ? undefined : error('/success', true)} hint="The statuses that mean the receiver took it.">${(a) => html`
        <${Select} ...${a} value=${success.mode} onValue=${(mode) => set({ success: { ...success, mode } })} options=${[
          ['inherited', inheritedText(successTold(inherited?.success))], ['2xx', 'Any 2xx'], ['list', 'Only these'],
        ]} />`}<//>
      ${success.mode === 'list' && html`<${Field} label="Statuses" hint="200, 202, 204" error=${error('/success', true)}>${(a) => html`
        <${Input} ...${a} class="mono" value=${success.codes} onValue=${(codes) => set({ success: { ...success, codes } })} />`}<//>`}
    </div>
    <${Field} label="Disable it by itself" error=${error('/auto_disable')} hint="When its receiver keeps failing. Its events wait then.">${(a) => html`
      <${Select} ...${a} value=${disable.mode} onValue=${(mode) => set({ disable: { ...disable, mode } })} options=${[
        ['inherited', inheritedText(disableTold(inherited?.auto_disable))], ['off', 'Never'], ['after', 'After failures, or a time of failing'],
      ]} />`}<//>
    ${disable.mode === 'after' && html`<div class="columns">
      <${Field} label="Failures in a row" optional error=${error('/auto_disable/failures')}>${(a) => html`<${Input} ...${a} inputmode="numeric" value=${disable.failures} onValue=${(failures) => set({ disable: { ...disable, failures } })} />`}<//>
      <${Field} label="Time of failing" optional hint="5d, 12h" error=${error('/auto_disable/after')}>${(a) => html`<${Input} ...${a} class="mono" value=${disable.after} onValue=${(after) => set({ disable: { ...disable, after } })} />`}<//>
    </div>`}`;
}

const ORDERS = { free: 'Many at once, in any order', wait: 'In order: one that fails keeps the others waiting', park: 'In order: one that fails steps aside after some attempts' };

function paceTold({ rate, order }) {
  const pace = rate.limited ? `At most ${rate.requests || '…'} per ${rate.per || '…'}` : 'As fast as it goes';
  return `${pace}, ${order.mode === 'free' ? 'many at once' : 'in order'}`;
}

function Pace({ form, set, error }) {
  const { rate, order } = form;
  return html`
    <p><${Check} on=${rate.limited} label="Limit the rate of requests" onChange=${(limited) => set({ rate: { ...rate, limited } })} /></p>
    ${rate.limited && html`<div class="columns">
      <${Field} label="Requests" error=${error('/rate_limit/requests') ?? error('/rate_limit')}>${(a) => html`<${Input} ...${a} inputmode="numeric" value=${rate.requests} onValue=${(requests) => set({ rate: { ...rate, requests } })} />`}<//>
      <${Field} label="Per" hint="1s, 1m, 1h" error=${error('/rate_limit/per')}>${(a) => html`<${Input} ...${a} class="mono" value=${rate.per} onValue=${(per) => set({ rate: { ...rate, per } })} />`}<//>
    </div>`}
    <div class="columns">
      <${Field} label="Order" error=${error('/order') ?? error('/order/head')}>${(a) => html`
        <${Select} ...${a} value=${order.mode} options=${Object.entries(ORDERS)} onValue=${(mode) => set({ order: { ...order, mode } })} />`}<//>
      ${order.mode === 'park' && html`<${Field} label="Attempts before it steps aside" error=${error('/order/after')}>${(a) => html`
        <${Input} ...${a} inputmode="numeric" value=${order.after} onValue=${(after) => set({ order: { ...order, after } })} />`}<//>`}
      <${Field} label="Requests at once" optional hint="Left empty: as the host says." error=${error('/concurrency')}>${(a) => html`
        <${Input} ...${a} inputmode="numeric" value=${form.concurrency} onValue=${(concurrency) => set({ concurrency })} />`}<//>
    </div>`;
}
