// A backtest: another version of a plugin, or another configuration of a link, on stored events, beside what is active.

import { html, useEffect, useMemo, useRef, useState } from '../../lib/html.js';
import { api, part, useLoad } from '../../lib/api.js';
import { Badge, Button, Card, Check, Dialog, Facts, Field, Input, Problem, Progress, Select, Spinner, Stat, Table, Time } from '../../lib/ui.js';
import { link } from '../../lib/route.js';
import { millis, number, plural, visible } from '../../lib/format.js';
import { faultOf } from '../../lib/tree.js';
import { named, usePlugins } from '../../lib/chain.js';

/** Between two looks at one that runs. */
const LOOK_MS = 700;
/** Earlier ones that are offered. */
const EARLIER = 20;

const CHANGES = {
  changed: ['info', 'changed'],
  newly_dropped: ['warn', 'newly dropped'],
  newly_passed: ['info', 'newly passed'],
  newly_failing: ['bad', 'newly failing'],
  newly_working: ['good', 'newly working'],
  same: ['calm', 'same'],
};

/** The card on the bench. */
export function Backtest({ chain, endpoint, faults }) {
  const [open, setOpen] = useState(false);
  return html`
    <${Card} title="Backtest" class="bench-card">
      <p class="hint">What would another version of a plugin, or what you changed here, have made of the last events? Nothing is sent.</p>
      <p class="bench-backtest"><${Button} onClick=${() => setOpen(true)}>Run a backtest<//></p>
      ${open && html`<${BacktestDialog} chain=${chain} endpoint=${endpoint} faults=${faults} onClose=${() => setOpen(false)} />`}
    <//>`;
}

/** `plugin` and `digest`: the candidate to begin with. `endpoint` with `chain`: the one whose links may be tried as they are edited. */
export function BacktestDialog({ chain = [], endpoint, faults = [], plugin, digest, onClose }) {
  const [id, setId] = useState(null);
  return html`<${Dialog} title="Backtest" onClose=${onClose} wide>
    ${id ? html`<${Running} key=${id} id=${id} onAnother=${() => setId(null)} />`
      : html`<${Order} chain=${chain} endpoint=${endpoint} faults=${faults} plugin=${plugin} digest=${digest} onBegun=${setId} />`}
  <//>`;
}

/** Links that can be tried as they are: their plugin is in the endpoint's stored chain. */
function triable(chain, endpoint) {
  const stored = endpoint?.transforms ?? [];
  return chain.map((one, index) => {
    const { name } = named(one.plugin);
    const places = stored.flatMap((other, place) => (named(other.plugin).name === name ? [place] : []));
    const nth = chain.slice(0, index).filter((other) => named(other.plugin).name === name).length;
    return { index, name, config: one.config, place: places[nth], isOnly: places.length === 1 };
  }).filter((one) => one.place !== undefined && one.config?.trim() && !faultOf(one.config));
}

function Order({ chain, endpoint, faults, plugin: given, digest: asked, onBegun }) {
  const links = useMemo(() => triable(chain, endpoint), [chain, endpoint]);
  const plugins = usePlugins();
  const [what, setWhat] = useState(!given && links.length ? 'config' : 'version');
  const [place, setPlace] = useState(links[0]?.index ?? 0);
  const [plugin, setPlugin] = useState(given ?? (chain[0] ? named(chain[0].plugin).name : ''));
  const [digest, setDigest] = useState(asked ?? '');
  const [alone, setAlone] = useState(false);
  const [events, setEvents] = useState('');
  const [gate, setGate] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const name = plugin || plugins.data?.[0]?.name || '';
  const versions = useLoad((signal) => (name ? api.get(`/v1/plugins/${part(name)}/versions`, {}, { signal }) : Promise.resolve(null)), [name]);
  const items = versions.data?.items ?? [];
  const version = items.find((one) => one.digest === digest) ?? items.find((one) => !one.active) ?? items[0];
  const picked = links.find((one) => one.index === Number(place));
  const ofThis = endpoint && (endpoint.transforms ?? []).some((one) => named(one.plugin).name === name);
  const said = (member) => error?.errors?.filter(({ pointer }) => pointer === `/${member}` || pointer.startsWith(`/${member}/`)).map(({ message }) => message).join(' ') || undefined;

  const begin = async () => {
    setBusy(true);
    setError(null);
    const count = events.trim() ? `"events":${/^[0-9]{1,9}$/.test(events.trim()) ? events.trim() : JSON.stringify(events)}` : null;
    const members = what === 'config' ? [
      `"endpoint":${JSON.stringify(endpoint.id)}`, `"config":${picked.config}`, !picked.isOnly && `"link":${picked.place}`, count,
    ] : [
      `"digest":${JSON.stringify(version.digest)}`, alone && ofThis && `"endpoint":${JSON.stringify(endpoint.id)}`, gate && !(alone && ofThis) && '"gate":true', count,
    ];
    try {
      const begun = await api.post(`/v1/plugins/${part(what === 'config' ? picked.name : name)}/backtest`, `{${members.filter(Boolean).join(',')}}`, { raw: true });
      onBegun(begun.id);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <fieldset class="bench-choice"><legend>What is tried</legend>
      <label class="check"><input type="radio" name="backtest-what" checked=${what === 'version'} onChange=${() => setWhat('version')} />Another version of a plugin</label>
      <label class="check"><input type="radio" name="backtest-what" disabled=${links.length === 0} checked=${what === 'config'} onChange=${() => setWhat('config')} />A configuration as it is here now</label>
      ${links.length === 0 && html`<p class="hint">${endpoint ? 'No link here can be held against one that is saved.' : 'For a configuration, choose an endpoint on the bench first.'}</p>`}
    </fieldset>
    ${what === 'config' ? html`
      <${Field} label="Link" error=${said('config') ?? said('link')} hint="The other links stay as they are saved.">${(a) => html`
        <${Select} ...${a} value=${String(place)} onValue=${(word) => setPlace(Number(word))} options=${links.map((one) => [String(one.index), `${one.index + 1} ${one.name}`])} />`}<//>
    ` : html`
      <div class="columns">
        <${Field} label="Plugin" error=${plugins.error?.message}>${(a) => html`
          <${Select} ...${a} value=${name} onValue=${(word) => { setPlugin(word); setDigest(''); }} options=${(plugins.data ?? []).map((one) => [one.name, one.name])} />`}<//>
        <${Field} label="Version" error=${said('digest') ?? versions.error?.message} hint=${items.length === 1 ? 'There is one version alone: what it is held against is itself.' : undefined}>${(a) => html`
          <${Select} ...${a} value=${version?.digest ?? ''} onValue=${setDigest} options=${items.map((one) => [one.digest, `${one.version}, ${one.digest.slice(0, 8)}${one.active ? ' (active)' : ''}`])} />`}<//>
      </div>
      ${ofThis && html`<p><${Check} on=${alone} onChange=${setAlone} label="For ${endpoint.name} alone" /></p>`}
      ${!(alone && ofThis) && html`<p><${Check} on=${gate} onChange=${setGate} label="Activate it in the end, if nothing newly fails" /></p>`}
      ${said('gate') && html`<p class="error">${visible(said('gate'))}</p>`}
    `}
    <${Field} label="Events of each endpoint" optional error=${said('events')} hint="The last ones. Without a number, as many as the host's settings say.">${(a) => html`
      <${Input} ...${a} inputmode="numeric" value=${events} onValue=${setEvents} />`}<//>
    <${Problem} error=${error} />
    <footer><${Button} kind="primary" busy=${busy} disabled=${what === 'config' ? !picked : !version} onClick=${begin}>Run<//></footer>
    <${Earlier} onPick=${onBegun} />`;
}

function Earlier({ onPick }) {
  const { data } = useLoad((signal) => api.get('/v1/backtests', { limit: EARLIER }, { signal }), []);
  if (!data?.items.length) return null;
  return html`<h3>Earlier</h3>
    <ul class="bench-earlier">${data.items.map((one) => html`
      <li key=${one.id}><button type="button" class="button quiet" onClick=${() => onPick(one.id)}>${one.plugin} ${one.candidate.link === null ? one.candidate.digest.slice(0, 8) : 'configured'}</button>
        <${Badge} state=${one.state} /> <${Time} at=${one.created_at} relative /></li>`)}</ul>`;
}

/** Looks again and again until it has ended. */
function useBacktest(id) {
  const [state, setState] = useState({ data: null, error: null });
  useEffect(() => {
    const abort = new AbortController();
    let timer;
    const look = async () => {
      try {
        const data = await api.get(`/v1/backtests/${part(id)}`, {}, { signal: abort.signal });
        setState({ data, error: null });
        if (data.state === 'running') timer = setTimeout(look, LOOK_MS);
      } catch (error) {
        if (abort.signal.aborted) return;
        setState((old) => ({ ...old, error }));
        if (error.status === 0 || error.status >= 500) timer = setTimeout(look, LOOK_MS * 4);
      }
    };
    look();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [id]);
  return { ...state, set: (data) => setState({ data, error: null }) };
}

function Running({ id, onAnother }) {
  const { data, error, set } = useBacktest(id);
  const [refused, setRefused] = useState(null);
  const head = useRef(null);
  useEffect(() => { head.current?.focus(); }, [Boolean(data)]);
  // The button that was pressed goes with the end.
  useEffect(() => { if (!document.activeElement?.closest('dialog')) head.current?.focus(); }, [data?.state]);
  if (!data) return error ? html`<${Problem} error=${error} /><footer><${Button} onClick=${onAnother}>Back<//></footer>` : html`<${Spinner} />`;
  const runs = data.state === 'running';
  const cancel = async () => {
    try {
      set(await api.post(`/v1/backtests/${part(id)}/cancel`, undefined, {}));
    } catch (problem) {
      setRefused(problem);
    }
  };
  const { candidate, active, counts, progress } = data;
  const what = candidate.link === null ? html`version ${visible(candidate.version)} (<code>${candidate.digest.slice(0, 8)}</code>)` : html`another configuration of link ${candidate.link + 1}`;
  return html`
    <p tabindex="-1" ref=${head} class="bench-head"><strong>${visible(data.plugin)}</strong>: ${what}${active && html`, beside ${visible(active.version)} (<code>${active.digest.slice(0, 8)}</code>)`}.
      ${' '}<${Badge} state=${data.state} />${data.activated && html` <${Badge} tone="good">activated<//>`}</p>
    ${runs && html`<${Progress} part=${progress.percent / 100} label="${progress.percent} %, ${plural(progress.events_done, 'event')} of ${plural(progress.endpoints, 'endpoint')}" />`}
    ${data.reason && html`<p class="note">${visible(data.reason)}</p>`}
    ${!runs && !data.complete && data.state === 'done' && html`<p class="note">Not all events that were asked for were looked at.</p>`}
    ${data.objections.length > 0 && html`<div class="problem"><p>As it stands, it could not be activated:</p><ul>${data.objections.map((one) => html`
      <li>${visible(one.of)} <code>${visible(one.pointer)}</code> ${visible(one.message)}</li>`)}</ul></div>`}
    <dl class="stats bench-stats">
      <${Stat} label="Events" value=${number(counts.events)} />
      <${Stat} label="Same" value=${number(counts.same)} note=${counts.both_failing ? `${number(counts.both_failing)} fail with both` : undefined} />
      <${Stat} label="Changed" value=${number(counts.changed)} />
      <${Stat} label="Newly dropped" value=${number(counts.newly_dropped)} tone=${counts.newly_dropped ? 'warn' : undefined} />
      <${Stat} label="Newly failing" value=${number(counts.newly_failing)} tone=${counts.newly_failing ? 'bad' : undefined} />
      ${counts.newly_passed > 0 && html`<${Stat} label="Newly passed" value=${number(counts.newly_passed)} />`}
      ${counts.newly_working > 0 && html`<${Stat} label="Newly working" value=${number(counts.newly_working)} tone="good" />`}
    </dl>
    <${Times} times=${data.times} />
    ${data.endpoints.length > 1 && html`<${Endpoints} items=${data.endpoints} />`}
    ${data.endpoints.length === 1 && data.endpoints[0].problem && html`<p class="problem">${visible(data.endpoints[0].problem)}</p>`}
    <${Samples} samples=${data.samples} endpoints=${data.endpoints} />
    ${!runs && counts.events === 0 && html`<p class="note">There was no stored event to try it on.</p>`}
    <${Problem} error=${refused ?? error} />
    <footer>${runs && html`<${Button} kind="danger" onClick=${cancel}>Cancel<//>`}<${Button} onClick=${onAnother}>${runs ? 'Another one meanwhile' : 'Another one'}<//></footer>`;
}

const micros = (time) => (time === null ? '–' : millis(time / 1000));

const Times = ({ times }) => html`
  <${Facts} pairs=${[['active', times.active], ['candidate', times.candidate]].map(([word, one]) => [`Time of a call, ${word}`,
    one.calls ? `median ${micros(one.p50_us)}, 99 % ${micros(one.p99_us)}, longest ${micros(one.max_us)}` : 'no call'])} />`;

const Endpoints = ({ items }) => html`
  <h3>Endpoints</h3>
  <${Table} caption="Endpoints, those with most changes first" class="cards" rows=${items} columns=${[
    { head: 'Name', cell: (one) => html`${visible(one.name)}${one.problem && html`<p class="hint">${visible(one.problem)}</p>`}` },
    { head: 'Tenant', cell: (one) => one.tenant },
    { head: 'Events', class: 'number', cell: (one) => number(one.counts.events) },
    { head: 'Changed', class: 'number', cell: (one) => number(one.counts.changed) },
    { head: 'Newly dropped', class: 'number', cell: (one) => number(one.counts.newly_dropped) },
    { head: 'Newly failing', class: 'number', cell: (one) => number(one.counts.newly_failing) },
  ]} />`;

const Samples = ({ samples, endpoints }) => samples.length > 0 && html`
  <h3>What is different</h3>
  <ul class="bench-samples">${samples.map((sample) => {
    const [tone, words] = CHANGES[sample.change] ?? ['calm', sample.change];
    const endpoint = endpoints.find((one) => one.id === sample.endpoint);
    return html`<li key=${sample.endpoint + sample.event}><details open=${samples.length <= 3}>
      <summary><${Badge} tone=${tone}>${words}<//> ${visible(sample.type)} <span class="faint">${visible(endpoint?.name ?? sample.endpoint)}, …${sample.event.slice(-6)}</span></summary>
      ${sample.diff !== null ? html`<${Difference} text=${sample.diff} />` : html`
        <div class="columns"><${Side} head="Active" one=${sample.active} /><${Side} head="Candidate" one=${sample.candidate} /></div>`}
      <p><a href=${link('bench', { endpoint: sample.endpoint, event: sample.event })}>This event on the bench</a></p>
    </details></li>`;
  })}</ul>`;

/** A difference in the form of `diff -u`, each line told by its sign and its colour. */
export const Difference = ({ text }) => html`<pre class="difference" tabindex="0" aria-label="Difference">${text.replace(/\n$/, '').split('\n').map((line) => {
  const shown = `${visible(line)}\n`;
  if (line.startsWith('+')) return html`<ins>${shown}</ins>`;
  if (line.startsWith('-')) return html`<del>${shown}</del>`;
  return html`<span class=${line.startsWith('@@') ? 'faint' : ''}>${shown}</span>`;
})}</pre>`;

const Side = ({ head, one }) => html`
  <div><p class="strong">${head}</p>
    ${one.message ? html`<pre class="difference" tabindex="0" aria-label=${head}>${visible(one.message.body.content)}${one.message.body.truncated && '…'}</pre>`
      : html`<p>${visible((one.outcome ?? 'nothing').replaceAll('_', ' '))}${one.kind && html` <code>${visible(one.kind)}</code>`}${one.reason && html`: ${visible(one.reason)}`}</p>`}</div>`;
