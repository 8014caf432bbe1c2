// All endpoints, with how each fares.

import { html, useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../../lib/html.js';
import { MOST_AT_ONCE, api } from '../../lib/api.js';
import { TenantFilter } from '../../lib/choose.js';
import { number, plural, visible } from '../../lib/format.js';
import { link, setQuery } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Button, ButtonLink, Empty, Field, Input, Menu, Page, Problem, Rate, Select, Sparkline, Spinner, Table, Time } from '../../lib/ui.js';
import { DeleteDialog, EnabledToggle, RotateDialog, SecretDialog, Status, dotted, reason } from './parts.js';
import { TestDialog } from './test.js';

const REFRESH_MS = 30_000;
/** Rows that are drawn at once: a page of the table. */
const ROWS = 50;
/** Endpoints that are loaded before somebody asks for more. */
const LOADED = 2_000;
/** What a row shows, what the search looks at, and what the dialogs ask of an endpoint. */
const FIELDS = [
  'id', 'tenant', 'name', 'description', 'url', 'events', 'channels', 'secrets', 'enabled', 'disabled_because', 'status', 'failing_because',
  'success_rate', 'last_delivery_at', 'last_event_at', 'last_7_days', 'created_at',
].join();

export function List({ query }) {
  const session = useContext(Session);
  const admin = session.role === 'admin';
  const tenant = admin ? query.tenant : undefined;
  const endpoints = useEndpoints(tenant);
  const { items, error } = endpoints;
  const [dialog, setDialog] = useState(null);
  const search = query.q ?? '';
  const found = useMemo(() => items && sorted(items.filter((endpoint) => matches(endpoint, search, query.status)), query.sort), [items, search, query.status, query.sort]);
  const replace = (changed) => endpoints.set((old) => old.map((one) => (one.id === changed.id ? changed : one)));
  return html`
    <${Page} wide title="Endpoints" actions=${html`<${ButtonLink} kind="primary" icon="plus" href=${link('endpoints', 'new', { tenant })}>Add an endpoint<//>`}>
      ${error && html`<${Problem} error=${error} retry=${endpoints.reload} />`}
      ${items?.length === 0 ? html`<${None} tenant=${tenant} />` : html`
        <${Filters} query=${query} search=${search} admin=${admin} tenant=${tenant} />
        ${!found ? !error && html`<${Spinner} />` : html`
          ${endpoints.more && html`<p class="note row between">There are more than the ${number(items.length)} oldest endpoints, which are listed here.
            <${Button} busy=${endpoints.loading} onClick=${endpoints.loadMore}>Load more<//></p>`}
          <${Rows} found=${found} query=${query} showTenant=${admin && !tenant} onChange=${replace} onDialog=${setDialog} />`}`}
      <${Dialogs} dialog=${dialog} onDialog=${setDialog} onChange=${replace}
        onDeleted=${(id) => endpoints.set((old) => old.filter((one) => one.id !== id))} />
    <//>`;
}

/** Filters of a tenant that has no endpoint yet stay in reach. */
const None = ({ tenant }) => html`
  ${tenant && html`<div class="filters"><${TenantFilter} value=${tenant} onValue=${(name) => setQuery({ tenant: name || undefined, page: undefined })} /></div>`}
  <${Empty} title=${tenant ? `The tenant ${tenant} has no endpoint` : 'There is no endpoint yet'}
    action=${html`<${ButtonLink} kind="primary" icon="plus" href=${link('endpoints', 'new', { tenant })}>Add an endpoint<//>`}>
    An endpoint is a URL that takes events: which ones, in which shape, and how they are signed and retried.<//>`;

/** All of them, since the newest come last; in few requests. */
function useEndpoints(tenant) {
  const [state, setState] = useState({ items: null, more: false, loading: true, error: null });
  const [most, setMost] = useState(LOADED);
  const latest = useRef(null);
  const reload = useCallback(async () => {
    latest.current?.abort();
    const abort = new AbortController();
    latest.current = abort;
    setState((old) => ({ ...old, loading: true }));
    try {
      const items = [];
      let cursor;
      do {
        const page = await api.get('/v1/endpoints', { tenant, fields: FIELDS, limit: MOST_AT_ONCE, cursor }, { signal: abort.signal });
        items.push(...page.items);
        cursor = page.next;
      } while (cursor && items.length < most);
      setState({ items, more: cursor != null, loading: false, error: null });
    } catch (error) {
      if (!abort.signal.aborted) setState((old) => ({ ...old, loading: false, error }));
    }
  }, [tenant, most]);
  useLayoutEffect(() => {
    reload();
    const timer = setInterval(() => { if (!document.hidden) reload(); }, REFRESH_MS);
    return () => {
      clearInterval(timer);
      latest.current?.abort();
    };
  }, [reload]);
  const set = (change) => {
    // What was asked for before the change would take it back.
    latest.current?.abort();
    setState((old) => ({ ...old, loading: false, items: change(old.items ?? []) }));
  };
  const first = useRef(tenant);
  useEffect(() => {
    if (first.current !== tenant) setState((old) => ({ ...old, items: null }));
    first.current = tenant;
  }, [tenant]);
  return { ...state, reload, loadMore: () => setMost(most + LOADED), set };
}

function matches(endpoint, search, status) {
  if (status && endpoint.status !== status) return false;
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = [endpoint.name, endpoint.description, endpoint.url, endpoint.tenant, ...endpoint.events, ...endpoint.channels].join('\n').toLowerCase();
  return words.every((word) => (word.startsWith('ep_') ? endpoint.id.startsWith(word) : text.includes(word)));
}

const STATUS_ORDER = ['failing', 'disabled', 'active'];
const late = (at) => (at ? Date.parse(at) : 0);
const SORTS = {
  created: { text: 'Newest first', compare: (one, other) => late(other.created_at) - late(one.created_at) },
  name: { text: 'Name', compare: (one, other) => one.name.localeCompare(other.name) },
  status: { text: 'Failing first', compare: (one, other) => STATUS_ORDER.indexOf(one.status) - STATUS_ORDER.indexOf(other.status) },
  event: { text: 'Last event', compare: (one, other) => late(other.last_event_at) - late(one.last_event_at) },
  success: { text: 'Success rate', compare: (one, other) => (one.success_rate ?? 2) - (other.success_rate ?? 2) },
};
const sorted = (endpoints, word) => [...endpoints].sort((SORTS[word] ?? SORTS.created).compare);

function Filters({ query, search, admin, tenant }) {
  const set = (changes) => setQuery({ ...changes, page: undefined });
  return html`
    <div class="filters">
      <${Field} label="Search" class="wide-field">${(a) => html`
        <${Input} ...${a} type="search" placeholder="name, host, event, id" value=${search} onValue=${(q) => set({ q })} />`}<//>
      <${Field} label="Status">${(a) => html`
        <${Select} ...${a} value=${query.status ?? ''} options=${[['', 'any'], ['active', 'active'], ['failing', 'failing'], ['disabled', 'disabled']]} onValue=${(status) => set({ status })} />`}<//>
      ${admin && html`<${TenantFilter} value=${tenant ?? ''} onValue=${(name) => set({ tenant: name || undefined })} />`}
      <${Field} label="Order">${(a) => html`
        <${Select} ...${a} value=${query.sort ?? 'created'} options=${Object.entries(SORTS).map(([word, { text }]) => [word, text])} onValue=${(sort) => set({ sort: sort === 'created' ? undefined : sort })} />`}<//>
    </div>`;
}

function Rows({ found, query, showTenant, onChange, onDialog }) {
  const pages = Math.max(1, Math.ceil(found.length / ROWS));
  const page = Math.min(Math.max(1, Number.parseInt(query.page, 10) || 1), pages);
  const rows = found.slice((page - 1) * ROWS, page * ROWS);
  const columns = [
    { head: 'Name', cell: (endpoint) => html`
      <div class="name-cell"><a class="strong" href=${link('endpoints', endpoint.id)}>${visible(endpoint.name)}</a>
        <span class="mono faint" title=${endpoint.url}>${visible(endpoint.url)}</span>${showTenant && html`<span class="faint">Tenant ${endpoint.tenant}</span>`}</div>` },
    { head: 'Events', cell: (endpoint) => html`<${Events} endpoint=${endpoint} />` },
    { head: 'Status', cell: (endpoint) => html`<div class="status-cell"><${Status} endpoint=${endpoint} />
      ${reason(endpoint) && html`<span class="reason">${visible(reason(endpoint))}</span>`}</div>` },
    { head: 'Success', class: 'number', cell: (endpoint) => html`<${Rate} part=${endpoint.success_rate} />` },
    { head: 'Last 7 days', cell: (endpoint) => html`<${Sparkline} days=${endpoint.last_7_days} />` },
    { head: 'Last delivery', class: 'nowrap', cell: (endpoint) => html`<${Time} at=${endpoint.last_delivery_at} relative />` },
    { head: 'Last event', class: 'nowrap', cell: (endpoint) => html`<${Time} at=${endpoint.last_event_at} relative />` },
    { head: 'Created', class: 'nowrap', cell: (endpoint) => html`<${Time} at=${endpoint.created_at} relative />` },
    { head: 'Enabled', class: 'tight', cell: (endpoint) => html`<${EnabledToggle} endpoint=${endpoint} quiet onChange=${onChange} />` },
    { head: 'Menu', quiet: true, class: 'tight', cell: (endpoint) => html`<${Menu} label=${`What to do with “${visible(endpoint.name)}”`} items=${[
      { text: 'Edit', href: link('endpoints', endpoint.id, 'edit') },
      { text: 'Send a test event', act: () => onDialog({ kind: 'test', endpoint }) },
      { text: 'Rotate the secret', act: () => onDialog({ kind: 'rotate', endpoint }) },
      { text: 'Its deliveries', href: link('deliveries', { endpoint: endpoint.id }) },
      { text: 'Duplicate as new', href: link('endpoints', 'new', { from: endpoint.id }) },
      { text: 'Delete', danger: true, act: () => onDialog({ kind: 'delete', endpoint }) },
    ]} />` },
  ];
  return html`
    <${Table} class="cards endpoints" caption="Endpoints" columns=${columns} rows=${rows}
      empty=${html`<${Empty} title="No endpoint fits" action=${html`<${Button} onClick=${() => setQuery({ q: undefined, status: undefined, page: undefined })}>Show all<//>`}>Nothing has all that the filters ask for.<//>`} />
    ${found.length > 0 && html`<${Pager} page=${page} pages=${pages} count=${found.length} />`}`;
}

const Pager = ({ page, pages, count }) => html`
  <div class="row between pager">
    <span class="faint" role="status">${plural(count, 'endpoint')}</span>
    ${pages > 1 && html`<div class="actions">
      <${Button} disabled=${page === 1} onClick=${() => setQuery({ page: page - 1 === 1 ? undefined : page - 1 })}>Back<//>
      <span>Page ${page} of ${pages}</span>
      <${Button} disabled=${page === pages} onClick=${() => setQuery({ page: page + 1 })}>Next<//>
    </div>`}
  </div>`;

/** How many it listens to, and which. */
export function Events({ endpoint: { events } }) {
  const text = events.includes('*') ? 'all' : plural(events.length, 'event');
  if (events.length === 1) return html`<span class="mono">${events[0] === '*' ? 'all' : dotted(events[0])}</span>`;
  return html`<details class="inline-details"><summary title=${events.join('\n')}>${text}</summary>
    <ul class="plain mono">${events.map((pattern) => html`<li key=${pattern}>${pattern}</li>`)}</ul></details>`;
}

function Dialogs({ dialog, onDialog, onChange, onDeleted }) {
  if (!dialog) return null;
  const { kind, endpoint } = dialog;
  const close = () => onDialog(null);
  if (kind === 'test') return html`<${TestDialog} endpoint=${endpoint} onClose=${close} />`;
  if (kind === 'delete') return html`<${DeleteDialog} endpoint=${endpoint} onClose=${close} onDeleted=${() => onDeleted(endpoint.id)} />`;
  if (kind === 'secret') return html`<${SecretDialog} endpoint=${endpoint} title="The new signing secret" onClose=${close} />`;
  const rotated = (changed) => {
    onChange(changed);
    onDialog({ kind: 'secret', endpoint: changed });
  };
  return html`<${RotateDialog} endpoint=${endpoint} onClose=${close} onRotated=${rotated} />`;
}
