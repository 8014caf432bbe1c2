// The catalogue, by group.

import { html, useContext, useState } from '../../lib/html.js';
import { all, useLoad } from '../../lib/api.js';
import { number, plural } from '../../lib/format.js';
import { link } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Badge, ButtonLink, Card, Empty, Field, Input, Page, Problem, Spinner, Table, visible } from '../../lib/ui.js';
import { useVolume } from './volume.js';

const MOST = 2_000;

export function TypeList() {
  const isAdmin = useContext(Session).role === 'admin';
  const { data, error, reload } = useLoad((signal) => all('/v1/event-types', {}, { signal, most: MOST }), []);
  const volume = useVolume();
  const [search, setSearch] = useState('');
  const words = search.trim().toLowerCase();
  const found = (data ?? []).filter((type) => `${type.name} ${type.group} ${type.description}`.toLowerCase().includes(words));
  const groups = [...new Set(found.map((type) => type.group))].sort((a, b) => (a === '') - (b === '') || a.localeCompare(b));
  const create = isAdmin && html`<${ButtonLink} kind="primary" icon="plus" href=${link('event-types', 'new', 'create')}>Describe an event type<//>`;
  return html`
    <${Page} title="Event types" actions=${create}>
      ${error && html`<${Problem} error=${error} retry=${reload} />`}
      ${!data && !error && html`<${Spinner} />`}
      ${data?.length > 0 && html`<div class="filters" role="search"><${Field} label="Search">${(a) => html`
        <${Input} ...${a} type="search" value=${search} onValue=${setSearch} placeholder="name, group or words" />`}<//></div>`}
      ${data?.length === 0 && html`<${Empty} title="No event type is described yet" action=${create}>
        What is described here with samples can be chosen by those who subscribe, and tried on the bench.<//>`}
      ${data?.length > 0 && found.length === 0 && html`<${Empty} title="None fits">Search for something else.<//>`}
      ${groups.map((group) => html`<${Group} key=${group} group=${group} types=${found.filter((type) => type.group === group)} volume=${volume} />`)}
    <//>`;
}

const Group = ({ group, types, volume }) => html`
  <${Card} title=${group || 'Without a group'} actions=${html`<span class="faint">${plural(types.length, 'type')}</span>`}>
    <${Table} caption=${`Event types: ${group || 'without a group'}`} rows=${types} id=${(type) => type.name} class="cards" columns=${[
      { head: 'Name', cell: (type) => html`<span class="named"><a href=${link('event-types', type.name)}>${type.name}</a>${type.deprecated && html`<${Badge} state="deprecated" />`}</span>` },
      { head: 'When it is sent', class: 'summary-cell', cell: (type) => html`<span class="clamp">${visible(type.description)}</span>` },
      { head: 'Samples', class: 'number tight', cell: (type) => number(type.sample_count) },
      { head: 'Checked', class: 'tight', cell: (type) => (type.check ? 'yes' : '–') },
      { head: 'Last 7 days', class: 'number tight', cell: (type) => number(volume.of(type.name)?.events) },
    ]} />
  <//>`;
