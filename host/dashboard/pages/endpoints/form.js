// Between an endpoint as the interface shows it, the form that is filled in, and what is sent back.
//
// What is sent is put together as text, so that numbers in configurations keep their digits.

import { chainJson } from '../../lib/chain.js';
import { policyOf, stateOf } from './retry.js';

/** What answers show in place of what is sealed; sent back, it means what is stored. */
export const MASK = '***';

/** Of a new endpoint: pinned to whatever version is the newest then. */
export const NEWEST = 'newest';

export const blank = (tenant = '') => ({
  name: '', description: '', tenant, version: NEWEST, url: '', events: [], channels: '', enabled: true,
  ownChain: false, transforms: [],
  auth: { mode: 'inherited', username: '', password: '', token: '', stored: null },
  headers: [],
  signature: { mode: 'inherited', header: '', prefix: '' },
  secret: '',
  retry: stateOf(null, true),
  timeout: '',
  success: { mode: 'inherited', codes: '' },
  rate: { limited: false, requests: '', per: '1s' },
  concurrency: '',
  order: { mode: 'free', after: '1' },
  disable: { mode: 'inherited', failures: '', after: '5d' },
  body: '',
});

/** The form of an endpoint that is there. `others`: names of headers that its tenant or the host adds. */
export function formOf(endpoint, others = []) {
  const own = (member) => !endpoint.inherited.includes(member);
  const elsewhere = new Set(others.map((name) => name.toLowerCase()));
  return {
    ...blank(endpoint.tenant),
    name: endpoint.name,
    description: endpoint.description,
    version: endpoint.version ?? '',
    url: endpoint.url,
    events: endpoint.events,
    channels: endpoint.channels.join(', '),
    enabled: endpoint.enabled,
    ownChain: own('transforms'),
    transforms: own('transforms') ? endpoint.transforms ?? [] : [],
    auth: authOf(endpoint.auth, own('auth')),
    headers: Object.keys(endpoint.headers).filter((name) => !elsewhere.has(name.toLowerCase())).map((name) => ({ name, value: '', stored: name })),
    signature: own('signature') && endpoint.signature
      ? { mode: endpoint.signature.scheme, header: endpoint.signature.header ?? '', prefix: endpoint.signature.prefix ?? '' } : blank().signature,
    retry: stateOf(endpoint.retry, !own('retry')),
    timeout: own('timeout') ? endpoint.timeout ?? '' : '',
    success: successOf(own('success') ? endpoint.success : null),
    rate: endpoint.rate_limit ? { limited: true, requests: String(endpoint.rate_limit.requests), per: endpoint.rate_limit.per } : blank().rate,
    concurrency: String(endpoint.concurrency),
    order: endpoint.order ? { mode: endpoint.order.head, after: String(endpoint.order.after ?? 1) } : blank().order,
    disable: disableOf(own('auto_disable') ? endpoint.auto_disable : null),
    body: own('body') ? endpoint.body ?? '' : '',
  };
}

/** A new endpoint that is like another one, but for what is sealed: that has to be filled in anew. */
export function copyOf(endpoint, others) {
  const form = formOf(endpoint, others);
  return {
    ...form,
    version: form.version || NEWEST,
    name: `${form.name} (copy)`.slice(0, 200),
    url: form.url.includes(MASK) ? form.url.slice(0, form.url.indexOf(MASK)) : form.url,
    auth: { ...form.auth, stored: null },
    headers: form.headers.map(({ name }) => ({ name, value: '' })),
    enabled: true,
  };
}

function authOf(auth, own) {
  const empty = blank().auth;
  if (!own) return empty;
  return { ...empty, mode: auth?.type ?? 'none', stored: auth?.type ?? null };
}

function successOf(success) {
  if (!success) return { mode: 'inherited', codes: '' };
  return success === '2xx' ? { mode: '2xx', codes: '' } : { mode: 'list', codes: success.join(', ') };
}

function disableOf(said) {
  if (!said) return blank().disable;
  if (said === 'off') return { ...blank().disable, mode: 'off' };
  return { mode: 'after', failures: said.failures ? String(said.failures) : '', after: said.after ?? '' };
}

const text = JSON.stringify;
/** A number as it was typed; what is none goes as text, so that the server names it. */
const numeric = (typed) => (/^\d{1,15}$/.test(typed.trim()) ? String(Number(typed)) : text(typed.trim()));
export const words = (typed) => typed.split(/[\s,]+/).filter(Boolean);
const object = (members) => `{${Object.entries(members).filter(([, value]) => value !== undefined).map(([name, value]) => `${text(name)}:${value}`).join(',')}}`;

function authText({ mode, username, password, token, stored }) {
  // What was not typed anew stays as it is stored.
  const kept = (typed) => text(typed === '' && stored === mode ? MASK : typed);
  if (mode === 'inherited') return 'null';
  if (mode === 'bearer') return object({ type: '"bearer"', token: kept(token) });
  if (mode === 'basic') return object({ type: '"basic"', username: kept(username), password: kept(password) });
  return '{"type":"none"}';
}

function signatureText({ mode, header, prefix }) {
  if (mode === 'inherited') return 'null';
  if (mode !== 'hmac-sha256') return object({ scheme: text(mode) });
  return object({ scheme: text(mode), header: text(header.trim()), prefix: text(prefix) });
}

function disableText({ mode, failures, after }) {
  if (mode === 'inherited') return 'null';
  if (mode === 'off') return '"off"';
  return object({ failures: failures.trim() ? numeric(failures) : undefined, after: after.trim() ? text(after.trim()) : undefined });
}

const orderText = ({ mode, after }) => (mode === 'free' ? 'null' : object({ head: text(mode), after: mode === 'park' ? numeric(after) : undefined }));

const successText = ({ mode, codes }) => ({ inherited: 'null', '2xx': '"2xx"' })[mode] ?? `[${words(codes).map(numeric).join(',')}]`;

/** Every member but the headers, each as JSON text; `null` where nothing is said. */
export function membersOf(form) {
  return {
    name: text(form.name.trim()),
    description: text(form.description),
    url: text(form.url.trim()),
    events: text(form.events),
    channels: text(words(form.channels)),
    version: form.version === NEWEST ? undefined : text(form.version || null),
    transforms: form.ownChain ? chainJson(form.transforms) : 'null',
    auth: authText(form.auth),
    signature: signatureText(form.signature),
    retry: text(policyOf(form.retry)),
    timeout: text(form.timeout.trim() || null),
    success: successText(form.success),
    rate_limit: form.rate.limited ? object({ requests: numeric(form.rate.requests), per: text(form.rate.per.trim()) }) : 'null',
    concurrency: form.concurrency.trim() ? numeric(form.concurrency) : 'null',
    order: orderText(form.order),
    auto_disable: disableText(form.disable),
    body: text(form.body || null),
  };
}

/** What creates the endpoint. A tenant's own is left for the server to say. */
export function creation(form) {
  const said = Object.entries(membersOf(form)).filter(([, value]) => value !== undefined && value !== 'null');
  const headers = form.headers.filter(({ name, value }) => name.trim() || value);
  return object({
    ...Object.fromEntries(said),
    tenant: form.tenant.trim() ? text(form.tenant.trim()) : undefined,
    secret: form.secret.trim() ? text(form.secret.trim()) : undefined,
    headers: headers.length ? object(Object.fromEntries(headers.map(({ name, value }) => [name.trim(), text(value)]))) : undefined,
    enabled: form.enabled ? undefined : 'false',
  });
}

/** A merge patch: what differs from `before`, and nothing else. `null` where nothing does. */
export function change(form, before) {
  const was = membersOf(before);
  const now = membersOf(form);
  const changed = Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== was[name]));
  const headers = headerChange(form.headers, before.headers);
  if (headers) changed.headers = headers;
  return Object.keys(changed).length ? object(changed) : null;
}

function headerChange(now, before) {
  const changes = {};
  const kept = new Set(now.filter((header) => header.stored && header.stored === header.name.trim()).map((header) => header.stored));
  for (const { name } of before) if (!kept.has(name)) changes[name] = 'null';
  for (const { name, value, stored } of now) {
    if (!name.trim() && !value) continue;
    if (stored === name.trim() && value === '') continue;
    changes[name.trim()] = text(value);
  }
  return Object.keys(changes).length ? object(changes) : null;
}

