// What a tenant or the host says for all of its endpoints. Only members that somebody changed go to the server.

import { html } from '../../lib/html.js';
import { fault, pretty } from '../../lib/json.js';
import { link } from '../../lib/route.js';
import { Area, Button, Card, Field, Input, Select } from '../../lib/ui.js';

const spans = (text) => text.split(',').map((span) => span.trim()).filter(Boolean);
const numberOf = (text) => (/^\d+$/.test(text.trim()) ? Number(text) : text.trim());

/** From the answer, whose `transforms` are JSON text. */
export function formOf(terms) {
  const { auth, signature, retry, success, auto_disable: disable } = terms;
  return {
    auth: { type: auth?.type ?? '', token: auth?.token ?? '', username: auth?.username ?? '', password: auth?.password ?? '' },
    headers: Object.entries(terms.headers ?? {}).map(([name, value]) => ({ name, value })),
    signature: { scheme: signature?.scheme ?? '', header: signature?.header ?? '', prefix: signature?.prefix ?? '' },
    retry: {
      kind: retry ? ['schedule', 'every', 'attempts'].find((kind) => kind in retry) : '',
      schedule: retry?.schedule?.join(', ') ?? '1m, 5m, 30m, 2h, 24h', every: retry?.every ?? '10s', for: retry?.for ?? '', attempts: String(retry?.attempts ?? 1),
    },
    timeout: terms.timeout ?? '',
    success: { kind: success == null ? '' : success === '2xx' ? '2xx' : 'list', list: Array.isArray(success) ? success.join(', ') : '200, 201, 204' },
    body: terms.body ?? '',
    auto_disable: { kind: disable == null ? '' : disable === 'off' ? 'off' : 'when', failures: disable?.failures ? String(disable.failures) : '', after: disable?.after ?? '' },
    transforms: terms.transforms == null || terms.transforms === 'null' ? '' : pretty(terms.transforms),
  };
}

const AUTH = {
  '': () => null,
  none: () => ({ type: 'none' }),
  bearer: ({ token }) => ({ type: 'bearer', token }),
  basic: ({ username, password }) => ({ type: 'basic', username, password }),
};

const RETRY = {
  '': () => null,
  schedule: ({ schedule }) => ({ schedule: spans(schedule) }),
  every: (retry) => ({ every: retry.every.trim(), ...(retry.for.trim() && { for: retry.for.trim() }) }),
  attempts: ({ attempts }) => ({ attempts: numberOf(attempts) }),
};

function signatureOf({ scheme, header, prefix }) {
  if (!scheme) return null;
  return scheme === 'hmac-sha256' ? { scheme, header: header.trim(), ...(prefix && { prefix }) } : { scheme };
}

function disableOf({ kind, failures, after }) {
  if (kind !== 'when') return kind || null;
  return { ...(failures.trim() && { failures: numberOf(failures) }), ...(after.trim() && { after: after.trim() }) };
}

const successOf = ({ kind, list }) => (kind === 'list' ? spans(list).map(numberOf) : kind || null);

/** Each member as JSON text; headers aside, of which each goes by itself. */
const textsOf = (form) => ({
  auth: JSON.stringify(AUTH[form.auth.type](form.auth)),
  signature: JSON.stringify(signatureOf(form.signature)),
  retry: JSON.stringify(RETRY[form.retry.kind](form.retry)),
  timeout: JSON.stringify(form.timeout.trim() || null),
  success: JSON.stringify(successOf(form.success)),
  body: JSON.stringify(form.body || null),
  auto_disable: JSON.stringify(disableOf(form.auto_disable)),
  transforms: form.transforms.trim() || 'null',
});

function headersOf(before, now) {
  const wanted = Object.fromEntries(now.filter(({ name }) => name.trim()).map(({ name, value }) => [name.trim(), value]));
  const gone = before.filter(({ name }) => !(name in wanted)).map(({ name }) => [name, null]);
  const changed = Object.entries(wanted).filter(([name, value]) => before.find((one) => one.name === name)?.value !== value);
  return Object.fromEntries([...gone, ...changed]);
}

/** The changed members as JSON text, `"name":value` each. */
export function changes(before, now) {
  const [old, texts] = [textsOf(before), textsOf(now)];
  const members = Object.keys(texts).filter((name) => texts[name] !== old[name]).map((name) => `${JSON.stringify(name)}:${texts[name]}`);
  const headers = headersOf(before.headers, now.headers);
  if (Object.keys(headers).length) members.push(`"headers":${JSON.stringify(headers)}`);
  return members;
}

export const faults = (form) => {
  const message = form.transforms.trim() && fault(form.transforms);
  return message ? [{ pointer: '/transforms', message }] : [];
};

/** Members that have a place in the form. */
export const PLACES = ['/auth', '/headers', '/signature', '/retry', '/timeout', '/success', '/body', '/auto_disable', '/transforms'];

/** `next`: who is asked where nothing is said, as "the host". `wrong(pointer)` answers what is wrong there and below. */
export function TermsForm({ form, onForm, wrong, next }) {
  const set = (member) => (change) => onForm({ ...form, [member]: typeof change === 'object' && !Array.isArray(change) ? { ...form[member], ...change } : change });
  const unsaid = ['', next ? `as ${next} says` : 'as without a setting'];
  const { auth, signature, retry, success, auto_disable: disable } = form;
  return html`
    <${Card} title="For all endpoints that say nothing else">
      <div class="columns">
        <${Field} label="Authentication" error=${wrong('/auth')}>${(a) => html`<${Select} ...${a} value=${auth.type} onValue=${(type) => set('auth')({ type })}
          options=${[unsaid, ['none', 'none'], ['bearer', 'bearer token'], ['basic', 'user and password']]} />`}<//>
        ${auth.type === 'bearer' && html`<${Field} label="Token" hint="*** keeps what is stored.">${(a) => html`<${Input} ...${a} value=${auth.token} onValue=${(token) => set('auth')({ token })} />`}<//>`}
        ${auth.type === 'basic' && html`
          <${Field} label="User" hint="*** keeps what is stored.">${(a) => html`<${Input} ...${a} value=${auth.username} onValue=${(username) => set('auth')({ username })} />`}<//>
          <${Field} label="Password">${(a) => html`<${Input} ...${a} type="password" autocomplete="new-password" value=${auth.password} onValue=${(password) => set('auth')({ password })} />`}<//>`}
      </div>
      <div class="columns">
        <${Field} label="Signature" error=${wrong('/signature')}>${(a) => html`<${Select} ...${a} value=${signature.scheme} onValue=${(scheme) => set('signature')({ scheme })}
          options=${[unsaid, ['standard', 'Standard Webhooks'], ['standard-asymmetric', 'Standard Webhooks, Ed25519'], ['hmac-sha256', 'HMAC-SHA256 in a header']]} />`}<//>
        ${signature.scheme === 'hmac-sha256' && html`
          <${Field} label="Header of the signature">${(a) => html`<${Input} ...${a} required value=${signature.header} placeholder="X-Signature" onValue=${(header) => set('signature')({ header })} />`}<//>
          <${Field} label="Prefix" optional>${(a) => html`<${Input} ...${a} value=${signature.prefix} placeholder="sha256=" onValue=${(prefix) => set('signature')({ prefix })} />`}<//>`}
      </div>
      <div class="columns">
        <${Field} label="Retries" error=${wrong('/retry')}>${(a) => html`<${Select} ...${a} value=${retry.kind} onValue=${(kind) => set('retry')({ kind })}
          options=${[unsaid, ['schedule', 'after given pauses'], ['every', 'at a steady pace'], ['attempts', 'a number of attempts']]} />`}<//>
        ${retry.kind === 'schedule' && html`<${Field} label="Pauses" hint="With commas between them: 1m, 5m, 30m">${(a) => html`<${Input} ...${a} value=${retry.schedule} onValue=${(schedule) => set('retry')({ schedule })} />`}<//>`}
        ${retry.kind === 'every' && html`
          <${Field} label="Every">${(a) => html`<${Input} ...${a} value=${retry.every} placeholder="10s" onValue=${(every) => set('retry')({ every })} />`}<//>
          <${Field} label="For" optional hint="Without an end: until it lands.">${(a) => html`<${Input} ...${a} value=${retry.for} placeholder="72h" onValue=${(span) => set('retry')({ for: span })} />`}<//>`}
        ${retry.kind === 'attempts' && html`<${Field} label="Attempts">${(a) => html`<${Input} ...${a} inputmode="numeric" value=${retry.attempts} onValue=${(attempts) => set('retry')({ attempts })} />`}<//>`}
      </div>
      <div class="columns">
        <${Field} label="Timeout" optional hint="For a whole attempt: 10s" error=${wrong('/timeout')}>${(a) => html`<${Input} ...${a} value=${form.timeout} onValue=${set('timeout')} />`}<//>
        <${Field} label="Success" error=${wrong('/success')}>${(a) => html`<${Select} ...${a} value=${success.kind} onValue=${(kind) => set('success')({ kind })}
          options=${[unsaid, ['2xx', 'any 2xx'], ['list', 'these statuses']]} />`}<//>
        ${success.kind === 'list' && html`<${Field} label="Statuses">${(a) => html`<${Input} ...${a} value=${success.list} onValue=${(list) => set('success')({ list })} />`}<//>`}
        <${Field} label="Bytes of the body" error=${wrong('/body')}>${(a) => html`<${Select} ...${a} value=${form.body} onValue=${set('body')}
          options=${[unsaid, ['as-is', 'as they are'], ['ecmascript', 'as JSON.stringify writes them']]} />`}<//>
      </div>
      <div class="columns">
        <${Field} label="Disable failing endpoints" error=${wrong('/auto_disable')}>${(a) => html`<${Select} ...${a} value=${disable.kind} onValue=${(kind) => set('auto_disable')({ kind })}
          options=${[unsaid, ['off', 'never'], ['when', 'after failures']]} />`}<//>
        ${disable.kind === 'when' && html`
          <${Field} label="Failures in a row" optional>${(a) => html`<${Input} ...${a} inputmode="numeric" value=${disable.failures} onValue=${(failures) => set('auto_disable')({ failures })} />`}<//>
          <${Field} label="Failing for" optional>${(a) => html`<${Input} ...${a} value=${disable.after} placeholder="5d" onValue=${(after) => set('auto_disable')({ after })} />`}<//>`}
      </div>
      <${HeaderRows} headers=${form.headers} onHeaders=${(headers) => onForm({ ...form, headers })} error=${wrong('/headers')} />
      <${Field} label="Chain of transforms" optional error=${wrong('/transforms')}
        hint=${html`JSON, as an endpoint’s <code>transforms</code>. What is masked stays as it is stored. Try a chain on <a href=${link('bench')}>the bench</a> first.`}>${(a) => html`
        <${Area} ...${a} rows=${form.transforms ? 8 : 3} value=${form.transforms} onValue=${set('transforms')} />`}<//>
    <//>`;
}

function HeaderRows({ headers, onHeaders, error }) {
  const change = (at, one) => onHeaders(headers.map((old, place) => (place === at ? { ...old, ...one } : old)));
  return html`
    <fieldset>
      <legend>Headers</legend>
      ${headers.map((header, at) => html`
        <div class="default-header" key=${at}>
          <${Input} aria-label=${`Name of header ${at + 1}`} placeholder="Name" value=${header.name} onValue=${(name) => change(at, { name })} />
          <${Input} aria-label=${`Value of header ${at + 1}`} placeholder="Value" value=${header.value} onValue=${(value) => change(at, { value })} />
          <${Button} kind="quiet" icon="close" aria-label=${`Remove header ${at + 1}`} onClick=${() => onHeaders(headers.filter((_, place) => place !== at))} />
        </div>`)}
      ${error && html`<p class="error">${error}</p>`}
      <${Button} icon="plus" onClick=${() => onHeaders([...headers, { name: '', value: '' }])}>Add a header<//>
    </fieldset>`;
}

/** What is wrong at a place and below it, as one text. */
export const wrongIn = (error) => (pointer) => (error?.errors ?? [])
  .filter((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`))
  .map((one) => (one.pointer === pointer ? one.message : `${one.pointer.slice(pointer.length + 1)}: ${one.message}`)).join(' ') || undefined;
