// One endpoint: what it is, how it fares, what fails, its secrets.

import { html, useContext, useEffect, useState } from '../../lib/html.js';
import { api, useLoad } from '../../lib/api.js';
import { fetchCharts } from '../../lib/chart.js';
import { ago, bytes, duration, millis, number, percent, plural, seconds, short, visible } from '../../lib/format.js';
import { go, link } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Badge, Button, ButtonLink, Card, Confirm, Copy, Facts, Menu, Page, Problem, Spinner, Stat, Table, Time, toast } from '../../lib/ui.js';
import { Charts, Errors, REFRESH_MS, SPANS, SpanChoice, Types, Warnings, since, useErrors } from '../overview.js';
import { DeleteDialog, EnabledToggle, RotateDialog, SecretDialog, Status, path, reason } from './parts.js';
import { TimeLine } from './retry.js';
import { TestDialog } from './test.js';

export function Show({ id, query }) {
  const session = useContext(Session);
  const span = SPANS[query.span] ?? SPANS.day;
  const endpoint = useLoad((signal) => api.get(path(id), undefined, { signal, keep: ['config'] }), [id], { every: REFRESH_MS });
  const stats = useLoad(
    (signal) => api.get(path(id, 'stats'), { since: since(span), resolution: span.resolution }, { signal }),
    [id, span], { every: REFRESH_MS },
  );
  const errors = useErrors({ span, endpoint: id });
  useEffect(fetchCharts, []);
  const [dialog, setDialog] = useState(null);
  const { data, error } = endpoint;
  const back = { href: link('endpoints'), text: 'Endpoints' };
  if (!data) return html`<${Page} title="Endpoint" back=${back}>${error ? html`<${Problem} error=${error} retry=${endpoint.reload} />` : html`<${Spinner} />`}<//>`;
  const changed = (now) => {
    endpoint.set(now);
    // What was asked for before the change would take it back.
    endpoint.reload();
    stats.reload();
  };
  const actions = html`
    <${EnabledToggle} endpoint=${data} onChange=${changed} />
    <${Button} onClick=${() => setDialog('test')}>Send a test event<//>
    <${ButtonLink} href=${link('endpoints', id, 'edit')}>Edit<//>
    <${Menu} label="More to do with this endpoint" items=${[
      { text: 'Open on the bench', href: link('bench', { endpoint: id }) },
      { text: 'Its deliveries', href: link('deliveries', { endpoint: id }) },
      { text: 'Rotate the secret', act: () => setDialog('rotate') },
      { text: 'Duplicate as new', href: link('endpoints', 'new', { from: id }) },
      { text: 'Delete', danger: true, act: () => setDialog('delete') },
    ]} />`;
  return html`
    <${Page} title=${visible(data.name)} back=${back} actions=${actions}>
      ${error && html`<${Problem} error=${error} retry=${endpoint.reload} />`}
      <${Standing} endpoint=${data} stats=${stats.data} admin=${session.role === 'admin'} />
      <div class="row between section-head"><h2>How it fares</h2>
        <${SpanChoice} span=${span} /></div>
      ${stats.error && html`<${Problem} error=${stats.error} retry=${stats.reload} />`}
      ${stats.data ? html`<${Statistics} stats=${stats.data} id=${id} />` : !stats.error && html`<${Spinner} />`}
      <${Errors} errors=${errors} endpoint=${id} />
      ${stats.data && html`<div class="grid apart"><${Warnings} warnings=${stats.data.warnings} /><${Types} types=${stats.data.event_types} partial=${stats.data.event_types_partial} endpoint=${id} /></div>`}
      <${Chain} endpoint=${data} plugins=${stats.data?.plugins ?? []} />
      <${Terms} endpoint=${data} />
      <${Secrets} endpoint=${data} onChange=${endpoint.set} onRotate=${() => setDialog('rotate')} />
      <${Dialogs} dialog=${dialog} onDialog=${setDialog} endpoint=${data} onChange=${endpoint.set} />
    <//>`;
}

function Dialogs({ dialog, onDialog, endpoint, onChange }) {
  const close = () => onDialog(null);
  if (dialog === 'test') return html`<${TestDialog} endpoint=${endpoint} onClose=${close} />`;
  if (dialog === 'delete') return html`<${DeleteDialog} endpoint=${endpoint} onClose=${close} onDeleted=${() => go('endpoints')} />`;
  if (dialog === 'rotate') {
    const rotated = (changed) => {
      onChange(changed);
      onDialog({ secret: changed });
    };
    return html`<${RotateDialog} endpoint=${endpoint} onClose=${close} onRotated=${rotated} />`;
  }
  return dialog?.secret ? html`<${SecretDialog} endpoint=${dialog.secret} title="The new signing secret" onClose=${close} />` : null;
}

/** What it is, whether it works, and if not, why. */
function Standing({ endpoint, stats, admin }) {
  const failing = endpoint.enabled && reason(endpoint);
  const waiting = stats?.queue.pending ?? 0;
  return html`
    <${Card}>
      ${!endpoint.enabled && html`<p class="note warn"><strong>Disabled ${ago(endpoint.disabled_since)}.</strong> ${visible(endpoint.disabled_because ?? '')} ${waiting ? `${plural(waiting, 'delivery waits', 'deliveries wait')} for it.` : 'Events that come wait for it.'}</p>`}
      ${endpoint.enabled && failing && html`<p class="note bad"><strong>Failing${stats?.failing_since ? ` since ${ago(stats.failing_since)}` : ''}.</strong> ${visible(failing)}${' '}
        <a href=${link('deliveries', { endpoint: endpoint.id, state: 'failed' })}>What failed</a></p>`}
      ${endpoint.description && html`<p>${visible(endpoint.description)}</p>`}
      <${Facts} pairs=${[
        ['Status', html`<${Status} endpoint=${endpoint} />`],
        ['URL', html`<span class="mono">${visible(endpoint.url)}</span>`],
        admin && ['Tenant', endpoint.tenant],
        ['Events', html`<span class="mono">${endpoint.events.map((pattern) => (pattern === '*' ? 'all' : pattern)).join(', ')}</span>`],
        endpoint.channels.length > 0 && ['Channels', endpoint.channels.join(', ')],
        endpoint.version && ['Version', endpoint.version],
        ['Success rate', percent(endpoint.success_rate)],
        ['Last delivery', html`<${Time} at=${endpoint.last_delivery_at} relative />`],
        ['Last event', html`<${Time} at=${endpoint.last_event_at} relative />`],
        ['Created', html`<${Time} at=${endpoint.created_at} />`],
        ['Changed', html`<${Time} at=${endpoint.updated_at} />`],
        ['Id', html`<span class="mono">${endpoint.id}</span>`],
      ]} />
      <p class="links"><a href=${link('deliveries', { endpoint: endpoint.id })}>Recent deliveries</a><a href=${link('bench', { endpoint: endpoint.id })}>Open on the bench</a></p>
    <//>`;
}

function Statistics({ stats, id }) {
  const { totals, queue } = stats;
  const deliveries = (state) => link('deliveries', { endpoint: id, state });
  return html`
    <dl class="stats">
      <${Stat} label="Delivered" value=${html`<a href=${deliveries('delivered')}>${short(totals.delivered)}</a>`} />
      <${Stat} label="Failed" value=${html`<a href=${deliveries('failed')}>${short(totals.failed)}</a>`} tone=${totals.failed ? 'bad' : ''} />
      <${Stat} label="Success rate" value=${percent(totals.success_rate)} note="of all attempts" />
      <${Stat} label="Retried" value=${short(totals.retried)} note=${`${short(totals.recovered)} arrived then`} />
      <${Stat} label="Filtered" value=${short(totals.filtered)} />
      <${Stat} label="Waiting" value=${html`<a href=${deliveries('pending')}>${short(queue.pending)}${queue.partial ? '+' : ''}</a>`} tone=${queue.held ? 'warn' : ''}
        note=${queue.oldest_pending_age_s === null ? 'nothing waits' : `the oldest for ${duration(queue.oldest_pending_age_s)}`} />
    </dl>
    <${Charts} overview=${stats} />`;
}

function Chain({ endpoint, plugins }) {
  const links = endpoint.transforms ?? [];
  const inherited = endpoint.inherited.includes('transforms') && links.length > 0;
  const bench = html`<${ButtonLink} href=${link('bench', { endpoint: endpoint.id })} icon="bench">Open on the bench<//>`;
  const of = (name) => plugins.find((one) => one.plugin === name.split('@')[0]);
  const columns = [
    { head: 'Plugin', cell: (one) => html`<span class="strong">${one.at + 1}. ${visible(one.plugin.split('@')[0])}</span>${one.plugin.includes('@') && html`<br /><small class="faint mono" title=${one.plugin}>pinned to ${one.plugin.split('@sha256:')[1]?.slice(0, 12)}</small>`}` },
    { head: 'If it fails', cell: (one) => ({ retry: 'try again later', fail: 'fail the delivery', pass: 'go on without it' })[one.on_failure] },
    { head: 'Runs', class: 'number', cell: (one) => number(of(one.plugin)?.calls ?? 0) },
    { head: 'Failures', class: 'number', cell: (one) => {
      const run = of(one.plugin);
      return html`<span class=${run?.failures ? 'rate bad' : ''} title=${run?.last_failure_kind ?? ''}>${number(run?.failures ?? 0)}</span>`;
    } },
    { head: 'Time, p50 · p99', class: 'number', cell: (one) => (of(one.plugin) ? `${millis(of(one.plugin).time_ms.p50)} · ${millis(of(one.plugin).time_ms.p99)}` : '–') },
    { head: 'Memory', class: 'number', cell: (one) => bytes(of(one.plugin)?.memory_peak_bytes || null) },
  ];
  return html`
    <${Card} title="Chain of plugins" actions=${bench}>
      ${inherited && html`<p class="hint">The tenant or the host gives it this chain.</p>`}
      <${Table} class="cards" caption="Chain of plugins" columns=${columns} rows=${links.map((one, at) => ({ ...one, at }))} id=${(one) => one.at}
        empty=${html`<p class="faint">None: payloads go out as they came. On the bench they can be shaped, with the result in sight.</p>`} />
      ${links.length > 0 && html`<p class="hint after-table">Runs, failures and times are those for this endpoint since the host was started.</p>`}
    <//>`;
}

const AUTH = { basic: 'User and password', bearer: 'Bearer token', none: 'None' };
const SCHEMES = { standard: 'Standard Webhooks', 'standard-asymmetric': 'Standard Webhooks, key pair', 'hmac-sha256': 'HMAC-SHA256' };

function Terms({ endpoint }) {
  const from = (member, text) => html`${text}${endpoint.inherited.includes(member) && html` <small class="faint">inherited</small>`}`;
  const { signature, retry, success, auto_disable: disable, rate_limit: rate, order } = endpoint;
  const headers = Object.keys(endpoint.headers);
  return html`
    <${Card} title="How it is delivered" actions=${html`<${ButtonLink} href=${link('endpoints', endpoint.id, 'edit')}>Edit<//>`}>
      <${Facts} pairs=${[
        ['Authentication', from('auth', AUTH[endpoint.auth?.type ?? 'none'])],
        ['Signature', from('signature', html`${SCHEMES[signature?.scheme]}${signature?.header && html` in <span class="mono">${signature.header}</span>`}`)],
        headers.length > 0 && ['Headers', html`<span class="mono">${visible(headers.join(', '))}</span>`],
        ['Body', from('body', endpoint.body === 'ecmascript' ? 'As JSON.stringify writes it' : 'As it comes out of the chain')],
        ['Timeout', from('timeout', endpoint.timeout && duration(seconds(endpoint.timeout)))],
        ['Success', from('success', success === '2xx' ? 'Any 2xx' : success?.join(', '))],
        ['Rate', rate ? `${number(rate.requests)} per ${duration(seconds(rate.per))}` : 'No limit'],
        ['Requests at once', number(endpoint.concurrency)],
        ['Order', !order ? 'Any' : order.head === 'wait' ? 'Kept: a failing one keeps the others waiting' : `Kept: one steps aside after ${plural(order.after, 'attempt')}`],
        ['Disables itself', from('auto_disable', !disable || disable === 'off' ? 'Never' : [disable.failures && `after ${number(disable.failures)} failures in a row`, disable.after && `after ${duration(seconds(disable.after))} of failing`].filter(Boolean).join(', or '))],
      ]} />
      <h3 class="sub">Retries ${endpoint.inherited.includes('retry') && html`<small class="faint">inherited</small>`}</h3>
      <${TimeLine} policy=${retry} />
    <//>`;
}

/** Secrets are told apart by their fingerprints; none is ever shown again. */
function Secrets({ endpoint, onChange, onRotate }) {
  const [asking, setAsking] = useState(null);
  const rotating = endpoint.secrets.length > 1;
  const columns = [
    { head: 'Fingerprint', cell: (secret) => html`<span class="mono">${secret.fingerprint}</span>${secret === endpoint.secrets[0] && rotating && html` <${Badge} tone="good">new<//>`}` },
    { head: 'Header', cell: (secret) => html`<span class="mono">${secret.header}</span>` },
    { head: 'Until', cell: (secret) => html`<${Time} at=${secret.until} none=${rotating ? 'stays' : 'no end'} />` },
    endpoint.secrets.some((secret) => secret.public_key) && { head: 'Public key', cell: (secret) => secret.public_key && html`<span class="mono key">${secret.public_key}</span><${Copy} text=${secret.public_key} label="Copy the key" />` },
  ].filter(Boolean);
  const promote = async () => {
    onChange(await api.post(path(endpoint.id, 'secret', 'promote'), undefined, { keep: ['config'] }));
    toast('The new secret alone signs now.');
  };
  const remove = async () => {
    onChange(await api.delete(path(endpoint.id, 'secret', 'previous'), { keep: ['config'] }));
    toast('The previous secret is removed.');
  };
  const actions = html`
    ${rotating && html`<${Button} onClick=${() => setAsking('promote')}>Promote the new one<//><${Button} onClick=${() => setAsking('remove')}>Remove the previous one<//>`}
    <${Button} onClick=${onRotate}>Rotate<//>`;
  return html`
    <${Card} title="Signing secrets" actions=${actions}>
      <p class="hint">${rotating ? 'Both sign until the older one ends, so that the receiver can change over.' : 'A secret is shown once, when it is made. The fingerprint is the first 8 hex digits of the SHA-256 of its text.'}</p>
      <${Table} class="cards" caption="Signing secrets" columns=${columns} rows=${endpoint.secrets} id=${(secret) => secret.fingerprint} empty=${html`<p class="faint">None.</p>`} />
      ${asking === 'promote' && html`<${Confirm} title="Promote the new secret?" verb="Promote" danger=${false} act=${promote} onClose=${() => setAsking(null)}>
        <p>The rotation ends now: the new secret alone signs, in the endpoint’s own header. A receiver that still verifies with the old one refuses what comes.</p><//>`}
      ${asking === 'remove' && html`<${Confirm} title="Remove the previous secret?" verb="Remove" act=${remove} onClose=${() => setAsking(null)}>
        <p>It signs no more from now on, as after a leak. A receiver that still verifies with it refuses what comes.</p><//>`}
    <//>`;
}
