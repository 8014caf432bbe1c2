// The list of events.

import { html, useContext } from '../../lib/html.js';
import { usePages } from '../../lib/api.js';
import { link, setQuery } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Button, Empty, Field, Listing, Time, visible } from '../../lib/ui.js';
import { Moment, TenantField, Typed, TypeField, useEventTypes, useTenants } from './filters.js';

const FILTERS = ['type', 'tenant', 'channel', 'since', 'until'];

export function EventList({ query }) {
  const isAdmin = useContext(Session).role === 'admin';
  const types = useEventTypes();
  const tenants = useTenants(isAdmin);
  const values = Object.fromEntries(FILTERS.map((name) => [name, query[name]]));
  const pages = usePages('/v1/events', values);
  const any = FILTERS.some((name) => query[name]);
  const columns = [
    { head: 'Type', cell: (event) => html`<a href=${link('deliveries', { event: event.id })}>${event.type}</a>` },
    { head: 'Event', class: 'tight', cell: (event) => html`<span class="mono">${event.id}</span>` },
    isAdmin && { head: 'Tenant', cell: (event) => event.tenant },
    { head: 'Channels', cell: (event) => visible(event.channels.join(', ')) },
    { head: 'Producer’s id', cell: (event) => visible(event.producer_id ?? '') },
    { head: 'Accepted', class: 'tight', cell: (event) => html`<${Time} at=${event.accepted_at} />` },
  ].filter(Boolean);
  return html`
    <div class="filters" role="search" aria-label="Filter events">
      <${TypeField} value=${query.type} types=${types} onTaken=${(type) => setQuery({ type })} />
      ${isAdmin && html`<${TenantField} value=${query.tenant} tenants=${tenants} onTaken=${(tenant) => setQuery({ tenant })} />`}
      <${Field} label="Channel">${(a) => html`<${Typed} ...${a} value=${query.channel} placeholder="any" onTaken=${(channel) => setQuery({ channel })} />`}<//>
      <${Moment} label="Accepted since" value=${query.since} onValue=${(since) => setQuery({ since })} />
      <${Moment} label="Accepted before" value=${query.until} onValue=${(until) => setQuery({ until })} />
      ${any && html`<${Button} kind="quiet" onClick=${() => setQuery(Object.fromEntries(FILTERS.map((name) => [name, undefined])))}>Clear filters<//>`}
      <${Button} icon="replays" busy=${pages.loading} onClick=${pages.reload}>Look again<//>
    </div>
    <${Listing} pages=${pages} caption="Events, newest first" columns=${columns} class="cards"
      empty=${any ? html`<${Empty} title="No event fits these filters">Take some of them away.<//>`
    : html`<${Empty} title="No event was posted yet">Producers post them to <code>/v1/events</code>${isAdmin ? ', and so does the button above' : ''}.<//>`} />`;
}
