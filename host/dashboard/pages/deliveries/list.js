// The list of deliveries, live.

import { html, useContext, useEffect, useState } from '../../lib/html.js';
import { number, plural } from '../../lib/format.js';
import { link } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Badge, Button, Empty, Problem, Spinner, Time, visible } from '../../lib/ui.js';
import { EventHead } from './event.js';
import { useFeed } from './feed.js';
import { Filters, steady, useEventTypes } from './filters.js';
import { useEndpoints } from './names.js';

const FILTERS = ['state', 'endpoint', 'type', 'tenant', 'event', 'webhook_id', 'since', 'until'];

/** Scrolled further down than this, one reads. */
const READING_PX = 160;

export function DeliveryList({ query, onReplay }) {
  const isAdmin = useContext(Session).role === 'admin';
  const filters = Object.fromEntries(FILTERS.filter((name) => query[name]).map((name) => [name, query[name]]));
  const feed = useFeed(filters);
  const types = useEventTypes();
  const { list, nameOf } = useEndpoints((feed.rows ?? []).map((row) => row.endpoint));
  const [paused, setPaused] = useState(false);
  const scrolled = useScrolled();
  useEffect(() => feed.hold(paused || scrolled), [feed, paused, scrolled]);
  const show = () => {
    scrollTo({ top: 0 });
    feed.show();
  };
  return html`
    <${Filters} query=${query} endpoints=${list} types=${types} />
    ${query.event && html`<${EventHead} id=${query.event} key=${query.event} />`}
    <div class="row between feed-head">
      ${feed.error && feed.rows === null ? html`<span></span>` : html`<${Live} feed=${feed} paused=${paused} onPause=${setPaused} />`}
      ${!query.event && !query.webhook_id && html`<${Button} icon="replays" onClick=${onReplay}>Deliver again all that fit<//>`}
    </div>
    ${feed.error && html`<${Problem} error=${feed.error} retry=${() => feed.load()} />`}
    ${feed.heldCount > 0 && html`<div class="feed-new"><${Button} kind="primary" icon="up" onClick=${show}>${number(feed.heldCount)} new, show<//></div>`}
    ${feed.rows === null ? !feed.error && html`<${Spinner} />` : feed.rows.length === 0 ? html`<${Nothing} filtered=${Object.keys(filters).length > 0} />`
      : html`<${Rows} rows=${feed.rows} nameOf=${nameOf} tenants=${isAdmin} />`}
    ${feed.more && html`<p class="more"><${Button} busy=${feed.loading} onClick=${() => feed.loadMore()}>Show more<//></p>`}
    ${feed.cut && html`<p class="more">The latest ${plural(feed.rows.length, 'delivery', 'deliveries')} are shown.
      <${Button} onClick=${() => { setPaused(true); feed.hold(true); feed.load(); }}>Browse older ones<//></p>`}`;
}

function useScrolled() {
  const [scrolled, setScrolled] = useState(false);
  useEffect(() => {
    const look = () => setScrolled(scrollY > READING_PX + (document.querySelector('.feed-head')?.offsetTop ?? 0));
    look();
    addEventListener('scroll', look, { passive: true });
    return () => removeEventListener('scroll', look);
  }, []);
  return scrolled;
}

const MODES = {
  connecting: ['calm', 'Connecting'],
  live: ['good', 'Live'],
  waiting: ['warn', 'Reconnecting'],
  polling: ['info', null],
  fixed: ['calm', 'Not live: what came later is filtered out'],
};

function Live({ feed, paused, onPause }) {
  const [tone, text] = paused && feed.mode !== 'fixed' ? ['calm', 'Paused'] : MODES[feed.mode];
  return html`
    <div class="row">
      <span role="status"><${Badge} tone=${tone}>${text ?? `Looked up every ${feed.every} s`}<//></span>
      ${feed.mode !== 'fixed' && html`<${Button} kind="quiet" aria-pressed=${paused ? 'true' : 'false'} onClick=${() => onPause(!paused)}>${paused ? 'Go on' : 'Pause'}<//>`}
    </div>`;
}

const Nothing = ({ filtered }) => (filtered
  ? html`<${Empty} title="No delivery fits these filters">Take some of them away, or wait: what fits appears here by itself.<//>`
  : html`<${Empty} title="Nothing was delivered yet">Create an <a href=${link('endpoints')}>endpoint</a>, then post an <a href=${link('deliveries', 'events')}>event</a>: its deliveries appear here by themselves.<//>`);

function Rows({ rows, nameOf, tenants }) {
  return html`
    <div class="table-frame cards deliveries" tabindex="0" role="region" aria-label="Deliveries">
      <table>
        <caption class="hidden">Deliveries, newest first</caption>
        <thead><tr>${['Event type', 'State', 'Endpoint', tenants && 'Tenant', 'Attempts', 'Created', 'Reason'].filter(Boolean).map((head) => html`
          <th scope="col" key=${head} class=${head === 'Attempts' ? 'number' : undefined}>${head}</th>`)}</tr></thead>
        <tbody>${rows.map((row) => html`<${Row} key=${row.id} row=${row} name=${nameOf(row.endpoint)} tenants=${tenants} />`)}</tbody>
      </table>
    </div>`;
}

/** With hundreds of rows, a few change at a time. */
const Row = steady(({ row, name, tenants }) => html`
  <tr>
    <th scope="row" data-head="Event type"><a href=${link('deliveries', row.id)}>${row.type}</a></th>
    <td data-head="State"><${State} delivery=${row} /></td>
    <td data-head="Endpoint"><${EndpointName} id=${row.endpoint} name=${name} /></td>
    ${tenants && html`<td data-head="Tenant">${row.tenant}</td>`}
    <td data-head="Attempts" class="number">${number(row.attempts)}</td>
    <td data-head="Created" class="tight"><${Time} at=${row.created_at} /></td>
    <td data-head="Reason" class="reason">${row.reason ? html`<span class="clamp" title=${visible(row.reason)}>${visible(row.reason)}</span>` : ''}</td>
  </tr>`);

export const State = ({ delivery }) => html`
  <span class="states"><${Badge} state=${delivery.state} />${delivery.held && html`<${Badge} state="held" title="It waits for a person." />`}${delivery.replay_of && html`<${Badge} tone="calm" title="It delivers again what was delivered before.">replay<//>`}</span>`;

/** `name`: undefined while it is not known, null where the endpoint was deleted. */
export const EndpointName = ({ id, name }) => (name === null
  ? html`<span class="faint" title=${id}>deleted</span>`
  : html`<a href=${link('endpoints', id)}>${visible(name ?? id)}</a>`);
