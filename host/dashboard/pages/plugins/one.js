// One plugin: what it takes, what it does with examples, who uses it, and its versions.

import { html, useContext, useState } from '../../lib/html.js';
import { api, part, useLoad } from '../../lib/api.js';
import { bytes, millis, number } from '../../lib/format.js';
import { go, link } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Badge, Button, ButtonLink, Card, Code, Confirm, Copy, Empty, Facts, Page, Problem, Spinner, Stat, Table, Time, toast, visible } from '../../lib/ui.js';
import { EndpointName } from '../deliveries/list.js';
import { useNames } from '../deliveries/names.js';
import { Schema } from './schema.js';
import { DropPlugin, Upload } from './upload.js';
import { Versions } from './versions.js';
import { CAUSES, SOURCES, digits } from './words.js';

export function OnePlugin({ name }) {
  const isAdmin = useContext(Session).role === 'admin';
  const path = `/v1/plugins/${part(name)}`;
  const plugin = useLoad((signal) => api.get(path, {}, { signal, keep: ['config_schema', 'config'] }), [path]);
  const versions = useLoad((signal) => (isAdmin ? api.get(`${path}/versions`, {}, { signal }) : null), [path, isAdmin]);
  const stats = useLoad((signal) => (isAdmin ? api.get(`${path}/stats`, {}, { signal }) : null), [path, isAdmin], { every: 10_000 });
  const [asked, setAsked] = useState(null);
  const [files, setFiles] = useState(null);
  const reload = () => {
    plugin.reload();
    versions.reload();
    stats.reload();
  };
  const data = plugin.data;
  const rollBack = async () => {
    const now = await api.post(`${path}/rollback`);
    toast(`${now.name} ${now.version} is active again.`);
    reload();
  };
  const remove = async () => {
    await api.delete(path);
    toast('What was uploaded is gone.');
    go('plugins');
  };
  const canGoBack = (versions.data?.history.length ?? 0) > 1;
  const actions = data && html`
    <${ButtonLink} icon="bench" href=${link('bench', { plugin: name })}>Try on the bench<//>
    ${isAdmin && canGoBack && html`<${Button} onClick=${() => setAsked('back')}>Roll back<//>`}
    ${isAdmin && data.source === 'upload' && html`<${Button} kind="danger" onClick=${() => setAsked('remove')}>Remove<//>`}`;
  return html`
    <${Page} title=${name} back=${{ href: link('plugins'), text: 'Plugins' }} actions=${actions}>
      <${Problem} error=${plugin.error} retry=${plugin.reload} />
      ${!data && !plugin.error && html`<${Spinner} />`}
      ${data && html`
        <${Head} plugin=${data} isAdmin=${isAdmin} />
        ${stats.data && html`<${Stats} stats=${stats.data} />`}
        <${Card} title="Configuration"><${Schema} text=${data.config_schema} /><//>
        <${Examples} examples=${data.examples} />
        <${Users} users=${data.users ?? []} total=${data.endpoints} />`}
      ${versions.error && html`<${Problem} error=${versions.error} retry=${versions.reload} />`}
      ${versions.data && html`<${Versions} name=${name} versions=${versions.data} onChanged=${reload} />
        <${DropPlugin} name=${name} onFiles=${setFiles} />`}
      ${asked === 'back' && html`<${Confirm} title="Roll back?" verb="Roll back" act=${rollBack} onClose=${() => setAsked(null)}>
        <p>What was active before becomes active. Attempts under way end with the version that they began with; the next ones take the other one.</p><//>`}
      ${asked === 'remove' && html`<${Confirm} title="Remove all that was uploaded of it?" verb="Remove" act=${remove} onClose=${() => setAsked(null)}>
        <p>What came with the server under this name, if anything did, is active then. It is refused while a chain needs what goes.</p><//>`}
      ${files && html`<${Upload} files=${files} name=${name} onClose=${() => setFiles(null)} onTaken=${reload} />`}
    <//>`;
}

const Head = ({ plugin, isAdmin }) => html`
  <${Card}>
    <p>${visible(plugin.summary)}</p>
    ${plugin.problem && html`<div class="problem"><p>${visible(plugin.problem)}</p></div>`}
    <${Facts} pairs=${[
      ['Version', visible(plugin.version)],
      plugin.source && ['Source', SOURCES[plugin.source] ?? plugin.source],
      plugin.active_since && ['Active since', html`<${Time} at=${plugin.active_since} />${plugin.activated_by && html`<br /><span class="faint">because ${CAUSES[plugin.activated_by]}</span>`}`],
      plugin.size != null && ['Size', bytes(plugin.size)],
      isAdmin && plugin.file && ['File', html`<span class="mono">${visible(plugin.file)}</span>`],
      plugin.must_run && ['Where it fails', 'the message is never sent without it'],
      plugin.digest && ['Digest', html`<span class="id"><code title=${plugin.digest}>${digits(plugin.digest)}</code><${Copy} text=${plugin.digest} label=${html`<span class="hidden">Copy the digest</span>`} /></span>`],
    ]} />
  <//>`;

const VERDICT = ({ task, verdict, count }) => `${task === 'judge' ? 'judged ' : ''}${verdict.replaceAll('_', ' ')} ${number(count)}`;

const Stats = ({ stats }) => html`
  <dl class="stats">
    <${Stat} label="Calls since the start" value=${number(stats.calls)} note=${stats.verdicts.map(VERDICT).join(', ')} />
    <${Stat} label="Failures" tone=${stats.failures ? 'bad' : ''} value=${number(stats.failures)}
      note=${stats.last_failure_at && html`last <${Time} at=${stats.last_failure_at} relative />, ${visible(String(stats.last_failure_kind).replaceAll('_', ' '))}`} />
    <${Stat} label="Time p50" value=${millis(stats.time_ms.p50)} note=${stats.time_ms.max != null && `most ${millis(stats.time_ms.max)}`} />
    <${Stat} label="Time p99" value=${millis(stats.time_ms.p99)} />
    <${Stat} label="Memory peak" value=${bytes(stats.memory_peak_bytes)} />
  </dl>
  ${stats.failures > 0 && html`<${Failing} endpoints=${stats.endpoints.filter((one) => one.failures > 0)} />`}`;

function Failing({ endpoints }) {
  const nameOf = useNames(endpoints.map((one) => one.endpoint));
  return endpoints.length > 0 && html`
    <${Card} title="Where it fails">
      <${Table} caption="Endpoints where it fails" rows=${endpoints} id=${(one) => one.endpoint} class="cards" columns=${[
        { head: 'Endpoint', cell: (one) => html`<${EndpointName} id=${one.endpoint} name=${nameOf(one.endpoint)} />` },
        { head: 'Failures', class: 'number', cell: (one) => number(one.failures) },
        { head: 'In a row', class: 'number', cell: (one) => number(one.failures_in_a_row) },
        { head: 'Last', cell: (one) => html`<${Time} at=${one.last_failure_at} relative />` },
        { head: 'Kind', cell: (one) => visible(String(one.last_failure_kind ?? '').replaceAll('_', ' ')) },
      ]} />
    <//>`;
}

const Examples = ({ examples }) => html`
  <${Card} title="Examples">
    ${examples.length === 0 && html`<p class="faint">It brings none.</p>`}
    ${examples.map((example, at) => html`
      <details class="folded plugin-example" key=${at} open=${at === 0}>
        <summary>${visible(example.title)} <${Badge} state=${example.verdict} /></summary>
        <p class="faint">Event type <code>${visible(example.event_type)}</code></p>
        <div class="example-sides">
          <div><h3>Configuration</h3>${example.config === 'null' ? html`<p class="faint">none</p>` : html`<${Code} text=${example.config} label="Configuration" />`}</div>
          <div><h3>Input</h3><${Code} text=${example.input} label="Input" /></div>
          <div><h3>${example.verdict === 'replace' ? 'Output' : 'Outcome'}</h3>${example.verdict === 'replace' ? html`<${Code} text=${example.output ?? ''} label="Output" />`
            : html`<p>${example.output ? visible(example.output) : 'The message stays as it was.'}</p>`}</div>
        </div>
      </details>`)}
  <//>`;

function UserName({ user }) {
  if (user.kind === 'endpoint') return html`<a href=${link('endpoints', user.id)}>${visible(user.name)}</a>`;
  if (user.kind === 'tenant') return html`<a href=${link('settings', 'tenants', user.tenant)}>Tenant ${user.tenant}</a>`;
  if (user.kind === 'version') return html`<a href=${link('settings', 'versions')}>Version ${visible(user.name)}</a>`;
  return html`<a href=${link('settings', 'host')}>The host</a>`;
}

const CHAINS = { endpoint: 'its own', tenant: 'its tenant’s', host: 'the host’s', version: 'of a version' };

function Users({ users, total }) {
  const isAdmin = useContext(Session).role === 'admin';
  const columns = [
    { head: 'Who', cell: (user) => html`<${UserName} user=${user} />` },
    isAdmin && { head: 'Tenant', cell: (user) => user.tenant ?? '' },
    { head: 'Chain', cell: (user) => (user.chain_of === user.kind ? 'its own' : CHAINS[user.chain_of]) },
    { head: 'Version', cell: (user) => (user.pinned ? html`pinned <code title=${user.pinned}>${digits(user.pinned)}</code>` : 'the active one') },
  ].filter(Boolean);
  return html`
    <${Card} title="Who uses it">
      ${users.length ? html`<${Table} caption="Who uses it" rows=${users} id=${(user) => `${user.kind} ${user.id ?? user.tenant ?? user.name} ${user.chain_of} ${user.pinned}`} columns=${columns} class="cards" />`
    : html`<${Empty} title="No chain names it">Put it into the chain of an endpoint on the bench.<//>`}
      ${total > users.length && html`<p class="hint">${number(total)} endpoints run it; these are the first.</p>`}
    <//>`;
}
