// The catalogue of plugins.

import { html, useContext, useState } from '../../lib/html.js';
import { api, useLoad } from '../../lib/api.js';
import { millis, number } from '../../lib/format.js';
import { link } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Badge, Card, Empty, Field, Input, Page, Problem, Spinner, Table, Time, visible } from '../../lib/ui.js';
import { DropPlugin, Upload } from './upload.js';
import { CAUSES, SOURCES } from './words.js';

export function PluginList() {
  const isAdmin = useContext(Session).role === 'admin';
  const { data, error, reload } = useLoad((signal) => api.get('/v1/plugins', {}, { signal }), [], { every: 15_000 });
  const [search, setSearch] = useState('');
  const [files, setFiles] = useState(null);
  const words = search.trim().toLowerCase();
  const items = (data?.items ?? []).filter((plugin) => `${plugin.name} ${plugin.summary}`.toLowerCase().includes(words));
  return html`
    <${Page} title="Plugins">
      ${isAdmin && html`<${DropPlugin} onFiles=${setFiles} />`}
      ${error && html`<${Problem} error=${error} retry=${reload} />`}
      ${!data && !error && html`<${Spinner} />`}
      ${data && html`
        <div class="filters" role="search"><${Field} label="Search">${(a) => html`<${Input} ...${a} type="search" value=${search} onValue=${setSearch} placeholder="name or summary" />`}<//></div>
        <${Table} caption="Plugins" rows=${items} id=${(plugin) => plugin.name} columns=${columns(isAdmin)} class="cards"
          empty=${html`<${Empty} title=${words ? 'No plugin has such a name or summary' : 'There are no plugins'}>${words ? 'Search for something else.' : 'Upload one, or put its file into the folder of the server.'}<//>`} />
        ${data.refused?.length > 0 && html`<${Refused} files=${data.refused} />`}`}
      ${files && html`<${Upload} files=${files} onClose=${() => setFiles(null)} onTaken=${reload} />`}
    <//>`;
}

function columns(isAdmin) {
  return [
    { head: 'Name', cell: (plugin) => html`<span class="named plugin-name"><a class="strong" href=${link('plugins', plugin.name)}>${visible(plugin.name)}</a>
        <span class="faint">${visible(plugin.version)}</span>${plugin.problem && html` <${Badge} state="warning" title=${visible(plugin.problem)}>problem<//>`}</span>` },
    { head: 'Summary', class: 'summary-cell', cell: (plugin) => visible(plugin.summary) },
    isAdmin && { head: 'Source', cell: (plugin) => html`<span title=${SOURCES[plugin.source]}>${plugin.source}</span>` },
    isAdmin && { head: 'Active since', class: 'nowrap', cell: (plugin) => html`<span title=${`Because ${CAUSES[plugin.activated_by]}`}><${Time} at=${plugin.active_since} relative /></span>` },
    { head: 'Endpoints', class: 'number', cell: (plugin) => number(plugin.endpoints) },
    isAdmin && { head: 'Calls', class: 'number', cell: (plugin) => number(plugin.calls) },
    isAdmin && { head: 'Failures', class: 'number', cell: (plugin) => html`<span class=${plugin.failures ? 'rate bad' : ''}>${number(plugin.failures)}</span>` },
    isAdmin && { head: 'Time p99', class: 'number tight', cell: (plugin) => millis(plugin.time_ms_p99) },
  ].filter(Boolean);
}

const Refused = ({ files }) => html`
  <${Card} title="Files that are no plugins" class="above">
    <${Table} caption="Files that are no plugins" rows=${files} id=${(file) => file.file} class="cards" columns=${[
      { head: 'File', cell: (file) => html`<span class="mono">${visible(file.file)}</span>` },
      { head: 'Meant for', cell: (file) => visible(file.name) },
      { head: 'Reason', cell: (file) => visible(file.reason) },
    ]} />
  <//>`;
