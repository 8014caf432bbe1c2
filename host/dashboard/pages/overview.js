// How the host, or one tenant, fares: numbers, charts, what fails and why.

import { html, useContext, useEffect, useState } from '../lib/html.js';
import { api, useLoad } from '../lib/api.js';
import { TimeChart, fetchCharts } from '../lib/chart.js';
import { Segments, TenantFilter } from '../lib/choose.js';
import { ago, duration, millis, number, percent, plural, short, visible } from '../lib/format.js';
import { link, setQuery } from '../lib/route.js';
import { Session } from '../lib/session.js';
import { Badge, Button, Card, Code, Dialog, Page, Problem, Spinner, Stat, Table, Time, Toggle, toast, prose } from '../lib/ui.js';
import { WaitingChoice, dotted } from './endpoints/parts.js';

export const REFRESH_MS = 10_000;

/** How far back, and how long each bar is. */
export const SPANS = {
  hour: { text: 'Hour', seconds: 3_600, resolution: 'minute' },
  day: { text: 'Day', seconds: 86_400, resolution: 'hour' },
  week: { text: 'Week', seconds: 604_800, resolution: 'hour' },
};

export const since = (span) => new Date(Date.now() - span.seconds * 1000).toISOString();

export default function Overview({ query }) {
  const session = useContext(Session);
  const admin = session.role === 'admin';
  const span = SPANS[query.span] ?? SPANS.day;
  const tenant = admin ? query.tenant : undefined;
  const overview = useLoad(
    (signal) => api.get('/v1/overview', { tenant, since: since(span), resolution: span.resolution }, { signal }),
    [span, tenant], { every: REFRESH_MS },
  );
  const errors = useErrors({ span, tenant });
  useEffect(fetchCharts, []);
  const { data, error } = overview;
  return html`
    <${Page} title="Overview" actions=${html`
      ${admin && html`<${OfflineSwitch} queue=${data?.queue} onChange=${overview.reload} />`}`}>
      <div class="filters">
        <${SpanChoice} span=${span} />
        ${admin && html`<${TenantFilter} value=${tenant ?? ''} onValue=${(name) => setQuery({ tenant: name || undefined })} />`}
      </div>
      ${error && html`<${Problem} error=${error} retry=${overview.reload} />`}
      ${!data ? !error && html`<${Spinner} />` : html`
        <${Begin} overview=${data} admin=${admin} tenant=${tenant} />
        <${Numbers} overview=${data} tenant=${tenant} />
        <${Charts} overview=${data} />
        <${Errors} errors=${errors} tenant=${tenant} admin=${admin} />
        <div class="grid apart">
          <${Warnings} warnings=${data.warnings} />
          <${Types} types=${data.event_types} partial=${data.event_types_partial} tenant=${tenant} />
        </div>`}
    <//>`;
}

export const SpanChoice = ({ span }) => html`
  <${Segments} label="Span" value=${Object.keys(SPANS).find((word) => SPANS[word] === span)}
    options=${Object.entries(SPANS).map(([word, { text }]) => [word, text])} onValue=${(word) => setQuery({ span: word === 'day' ? undefined : word })} />`;

const isFresh = ({ endpoints, totals, last_7_days: days, last_delivery_at: last }) =>
  endpoints.active + endpoints.failing + endpoints.disabled === 0
  || (totals.events === 0 && !last && days.every((day) => day.events === 0));

/** What to do first, until something was sent. */
function Begin({ overview, admin, tenant }) {
  const fresh = isFresh(overview);
  const types = useLoad((signal) => (fresh ? api.get('/v1/event-types', { limit: 1 }, { signal }) : null), [fresh]);
  if (!fresh) return null;
  const has = overview.endpoints.active + overview.endpoints.failing + overview.endpoints.disabled > 0;
  const sent = `curl -H "Authorization: Bearer $HOOKWRIGHT_KEY" -H 'Content-Type: application/json' \\\n`
    + `  -d '{"type":"invoice.paid",${tenant ? `"tenant":"${tenant}",` : ''}"payload":{"invoice":{"number":"INV-8","total":99.50}}}' \\\n`
    + `  ${location.origin}/v1/events`;
  return html`
    <${Card} title="Send your first event" class="begin">
      <ol class="begin-steps">
        ${admin && html`<${Step} done=${types.data?.items.length > 0} title="Describe an event type" href=${link('event-types')}
          text="Those who subscribe see it in the catalogue, with samples to test with. It can wait: any type may be sent." />`}
        <${Step} done=${has} title="Add an endpoint" href=${link('endpoints', 'new', { tenant })} text="A URL that takes events, and which of them it wants." />
        ${admin ? html`<${Step} title="Post an event" href=${link('deliveries')} text="From your product, or from here with an admin key or an ingest key:">
          <${Code} text=${sent} json=${false} label="Command that posts an event" /><//>`
          : html`<${Step} title="Send it a test event" href=${link('endpoints')} text="From the endpoint’s page. It shows what was sent and what came back." />`}
      </ol>
    <//>`;
}

const Step = ({ done, title, text, href, children }) => html`
  <li><p class="strong">${href ? html`<a href=${href}>${title}</a>` : title} ${done && html`<${Badge} tone="good">done<//>`}</p><p>${text}</p>${children}</li>`;

function Numbers({ overview: { totals, queue, endpoints }, tenant }) {
  const deliveries = (state) => link('deliveries', { state, tenant });
  return html`
    <dl class="stats eight">
      <${Stat} label="Delivered" value=${short(totals.delivered)} note=${html`of ${short(totals.events)} events`} />
      <${Stat} label="Failed" tone=${totals.failed > 0 ? 'bad' : ''} value=${html`<a href=${deliveries('failed')}>${short(totals.failed)}</a>`} note="for good" />
      <${Stat} label="Success rate" value=${percent(totals.success_rate)} tone=${totals.success_rate !== null && totals.success_rate < 0.9 ? 'bad' : ''} note="of all attempts" />
      <${Stat} label="Retried" value=${short(totals.retried)} note=${`${short(totals.recovered)} arrived then`} />
      <${Stat} label="Filtered" value=${short(totals.filtered)} note="dropped by a plugin" />
      <${Stat} label="Held" value=${short(totals.held)} note=${queue.held ? `${short(queue.held)} wait now` : 'none wait now'} tone=${queue.held ? 'warn' : ''} />
      <${Stat} label="In the queue" value=${html`<a href=${deliveries('pending')}>${short(queue.pending)}${queue.partial ? '+' : ''}</a>`}
        note=${queue.oldest_pending_age_s === null ? 'nothing waits' : `the oldest for ${duration(queue.oldest_pending_age_s)}`} />
      <${Stat} label="Endpoints" value=${html`<a href=${link('endpoints', { tenant })}>${number(endpoints.active + endpoints.failing + endpoints.disabled)}</a>`}
        note=${html`<span class="stat-links">${['active', 'failing', 'disabled'].map((status) => html`
          <a key=${status} class=${status === 'failing' && endpoints.failing ? 'rate bad' : ''} href=${link('endpoints', { status, tenant })}>${number(endpoints[status])} ${status}</a>`)}</span>`} />
    </dl>`;
}

export const counts = (buckets) => [
  { label: 'Delivered', values: buckets.map((bucket) => bucket.delivered), colour: '--good', kind: 'bars' },
  { label: 'Failed', values: buckets.map((bucket) => bucket.failed), colour: '--bad', kind: 'bars' },
  { label: 'Filtered', values: buckets.map((bucket) => bucket.filtered), colour: '--calm', kind: 'bars' },
  { label: 'Held', values: buckets.map((bucket) => bucket.held), colour: '--warn', kind: 'bars' },
];

export const answers = (buckets) => [['Min', 'min', '--calm'], ['Average', 'avg', '--accent'], ['p95', 'p95', '--warn'], ['Max', 'max', '--bad']]
  .map(([label, member, colour]) => ({ label, values: buckets.map((bucket) => bucket.answer_ms?.[member] ?? null), colour, kind: 'line' }));

export function Charts({ overview: { buckets, totals } }) {
  const at = buckets.map((bucket) => Date.parse(bucket.start) / 1000);
  const answer = totals.answer_ms;
  return html`
    <div class="grid charts">
      <${Card} title="Deliveries">${totals.delivered + totals.failed + totals.filtered + totals.held > 0
        ? html`<${TimeChart} label="Deliveries over time" at=${at} series=${counts(buckets)} stacked write=${short} />`
        : html`<p class="faint">Nothing was delivered in this span.</p>`}<//>
      <${Card} title="Response times">
        ${answer ? html`
          <dl class="stats compact">
            <${Stat} label="Min" value=${millis(answer.min)} /><${Stat} label="Average" value=${millis(answer.avg)} />
            <${Stat} label="p95" value=${millis(answer.p95)} /><${Stat} label="Max" value=${millis(answer.max)} />
          </dl>
          <${TimeChart} label="Response times over time" at=${at} series=${answers(buckets)} write=${millis} />`
          : html`<p class="faint">No receiver has answered in this span.</p>`}
      <//>
    </div>`;
}

/** Asked for by the page, beside its numbers. */
export function useErrors({ span, tenant, endpoint }) {
  const [limit, setLimit] = useState(10);
  const errors = useLoad(
    (signal) => api.get('/v1/errors', { tenant, endpoint, since: since(span), limit }, { signal }),
    [span, tenant, endpoint, limit], { every: REFRESH_MS },
  );
  return { ...errors, showMore: () => setLimit(Math.min(limit * 5, 500)) };
}

/** What fails, grouped by endpoint and kind, each with what to do about it. */
export function Errors({ errors, tenant, endpoint, admin }) {
  if (errors.error && !errors.data) return html`<${Card} title="Recent errors"><${Problem} error=${errors.error} retry=${errors.reload} /><//>`;
  if (!errors.data) return html`<${Card} title="Recent errors"><${Spinner} /><//>`;
  const { items, next } = errors.data;
  const columns = [
    { head: 'What', cell: (group) => html`<p class="strong tight-below">${group.title}</p><p class="hint">${prose(group.hint)}</p>` },
    !endpoint && { head: 'Endpoint', cell: (group) => html`<a href=${link('endpoints', group.endpoint)}>${visible(group.endpoint_name ?? 'a deleted one')}</a>
      ${admin && !tenant && html`<br /><small class="faint">${group.tenant}</small>`}` },
    { head: 'Times', class: 'number', cell: (group) => number(group.count) },
    { head: 'Last', class: 'nowrap', cell: (group) => html`<${Time} at=${group.last_at} relative />` },
    { head: 'Last message', cell: (group) => html`<p class="message">${visible(group.last_message)}</p><span class="links close"><a href=${link('deliveries', group.last_delivery)}>Its delivery</a>
      <a href=${link('deliveries', { endpoint: group.endpoint, state: 'failed' })}>All that failed</a></span>` },
  ].filter(Boolean);
  return html`
    <${Card} title="Recent errors">
      <${Table} class="cards tall" caption="Recent errors" columns=${columns} rows=${items} id=${(group) => group.endpoint + group.kind}
        empty=${html`<p class="faint">Nothing failed in this span.</p>`} />
      ${next && html`<p class="more"><${Button} busy=${errors.loading} onClick=${errors.showMore}>Show more<//></p>`}
    <//>`;
}

const WARNINGS = {
  near_timeout: 'Answers close to the timeout',
  recovered: 'Arrived only after retries',
  answer_truncated: 'Answers too long to be kept',
  rate_limited: 'Receivers asked for a slower pace',
  deprecated_type: 'Events of a deprecated type',
  judge_failed: 'A plugin could not judge the answer',
};

export const Warnings = ({ warnings }) => html`
  <${Card} title="Warnings">${warnings.length === 0 ? html`<p class="faint">Nothing to look at.</p>` : html`
    <ul class="entries">${warnings.map((warning) => html`
      <li key=${warning.kind}><p class="row between"><span class="strong">${WARNINGS[warning.kind] ?? warning.kind}</span><span class="nowrap">${plural(warning.count, 'time')}</span></p>
        <p class="hint">${prose(warning.hint)}</p></li>`)}</ul>`}<//>`;

/** Types that are shown before somebody asks for more. */
const TYPES = 10;

export function Types({ types, partial, tenant, endpoint }) {
  const columns = [
    { head: 'Type', class: 'whole-words', cell: (type) => html`<a class="mono" href=${link('deliveries', { type: type.type, endpoint, tenant })}>${dotted(type.type)}</a>` },
    { head: 'Events', class: 'number', cell: (type) => number(type.events) },
    { head: 'Delivered', class: 'number', cell: (type) => number(type.delivered) },
    { head: 'Failed', class: 'number', cell: (type) => html`<span class=${type.failed ? 'rate bad' : ''}>${number(type.failed)}</span>` },
  ];
  const [whole, setWhole] = useState(false);
  const rows = [...types].sort((one, other) => other.events - one.events);
  return html`
    <${Card} title=${endpoint ? 'Events of its types, over all endpoints' : 'Event types'}>
      <${Table} caption="Event types by volume" columns=${columns} rows=${whole ? rows : rows.slice(0, TYPES)} id=${(type) => type.type} empty=${html`<p class="faint">No event came in this span.</p>`} />
      ${!whole && rows.length > TYPES && html`<p class="more"><${Button} onClick=${() => setWhole(true)}>Show all ${number(rows.length)}<//></p>`}
      ${partial && html`<p class="hint after-table">There are so many types that not all of the span was looked at.</p>`}
    <//>`;
}

/** Takes deliveries away from the receivers for a while; what is posted waits. */
function OfflineSwitch({ queue, onChange }) {
  const session = useContext(Session);
  const host = useLoad((signal) => api.get('/v1/host', undefined, { signal, keep: ['config'] }), [], { every: REFRESH_MS });
  const [asking, setAsking] = useState(null);
  if (!host.data) return null;
  const { offline, offline_since: from } = host.data;
  const change = async (members) => {
    host.set(await api.patch('/v1/host', members, { keep: ['config'] }));
    toast(members.offline ? 'The host is offline. Events are taken on, and wait.' : 'The host is online again.');
    session.refresh();
    onChange();
  };
  return html`
    ${offline && html`<span class="faint">for ${ago(from).replace(' ago', '')}</span>`}
    <${Toggle} on=${offline} label="Offline" onChange=${(on) => setAsking(on ? 'offline' : 'online')} />
    ${asking === 'offline' && html`<${GoOffline} act=${() => change({ offline: true })} onClose=${() => setAsking(null)} />`}
    ${asking === 'online' && html`
      <${WaitingChoice} title="Go online again?" waiting=${queue?.pending ?? 0} verb="Go online" onClose=${() => setAsking(null)}
        act=${(waiting) => change({ offline: false, waiting })} />`}`;
}

function GoOffline({ act, onClose }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const go = async () => {
    setBusy(true);
    try {
      await act();
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title="Go offline?" onClose=${onClose}>
      <p>Nothing is delivered to any endpoint of any tenant until you switch it back. Events are taken on all the same, and wait.</p>
      <${Problem} error=${error} />
      <footer><${Button} onClick=${onClose}>Stay online<//><${Button} kind="danger" busy=${busy} onClick=${go}>Go offline<//></footer>
    <//>`;
}
