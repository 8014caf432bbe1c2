// The bench: a payload, a chain, and what comes of them, as one types. Nothing is sent.

import { html, useCallback, useContext, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { all, api, part, useLoad } from '../lib/api.js';
import { Badge, Button, Card, Confirm, Field, Page, Problem, Select, Tabs, toast } from '../lib/ui.js';
import { Session } from '../lib/session.js';
import { visible } from '../lib/format.js';
import { go, setQuery, useUnsaved } from '../lib/route.js';
import { ChainEditor, chainFaults, chainJson, isMaskedChain, named, sameChain } from '../lib/chain.js';
import { faultOf } from '../lib/tree.js';
import { Payload, eventOf, sampleOf } from './bench/payload.js';
import { Outcome, Result } from './bench/result.js';
import { Backtest } from './bench/backtest.js';

/** After the last key, before the chain runs. */
const PAUSE_MS = 250;
/** Under this name a chain goes on to the form of a new endpoint: the JSON text of `transforms`. */
const HANDED_OVER = 'hookwright.chain';

const FIRST = {
  source: { kind: 'written' }, type: 'example.created', channels: [],
  payload: '{\n  "id": 42,\n  "title": "An example",\n  "total": 12500.00\n}',
};

const sceneOf = (source) => ({ source, type: source.type, payload: source.payload, channels: source.channels ?? [] });

export default function Bench({ query }) {
  const session = useContext(Session);
  const [scene, setScene] = useState(null);
  const [base, setBase] = useState(null);
  const [endpoint, setEndpoint] = useState(null);
  // A link from a plugin's page begins with that plugin alone; there is nothing of it to lose.
  const [begun] = useState(() => (query.plugin && !query.endpoint ? [{ plugin: query.plugin, config: '', on_failure: 'retry' }] : []));
  const [chain, setChain] = useState(begun);
  const [kept, setKept] = useState(begun);
  const [refused, setRefused] = useState([]);
  const [offered, setOffered] = useState(null);
  const [pane, setPane] = useState('payload');
  const [asking, setAsking] = useState(null);
  const [problem, setProblem] = useState(null);
  const types = useLoad((signal) => all('/v1/event-types', {}, { signal }), []);
  const endpoints = useLoad((signal) => all('/v1/endpoints', { tenant: query.tenant, fields: 'id,name,tenant' }, { signal }), [query.tenant]);
  const address = useRef({});

  const say = (changes) => {
    address.current = { ...address.current, ...changes };
    setQuery(changes);
  };
  const takeSource = useCallback((source) => {
    const next = sceneOf(source);
    setScene(next);
    setBase(next);
    say({ event: source.kind === 'event' ? source.id : null, type: source.kind === 'sample' ? source.type : null });
  }, []);
  const takeEndpoint = useCallback(async (id) => {
    setProblem(null);
    try {
      const found = id ? await api.get(`/v1/endpoints/${part(id)}`, {}, { keep: ['config'] }) : null;
      const links = found?.transforms ?? [];
      setEndpoint(found);
      setChain(links);
      setKept(links);
      setRefused([]);
      say({ endpoint: id || null });
    } catch (error) {
      setProblem(error);
    }
  }, []);

  // What the address says, when the page is opened and when a link leads here anew.
  useEffect(() => {
    const news = ['endpoint', 'event', 'type'].filter((name) => (query[name] ?? null) !== (address.current[name] ?? null));
    if (news.length === 0 && scene) return;
    address.current = { ...query };
    if (news.includes('endpoint') && query.endpoint) takeEndpoint(query.endpoint);
    const wanted = query.event ? eventOf(query.event) : query.type ? typed(query.type) : null;
    if (wanted) wanted.then(takeSource).catch((error) => { setProblem(error); setScene((now) => now ?? FIRST); setBase((now) => now ?? FIRST); });
    else if (!scene) first(query.tenant).then((source) => (source ? takeSource(source) : (setScene(FIRST), setBase(FIRST))));
  }, [query.endpoint, query.event, query.type]);

  const isEdited = Boolean(scene && base && scene.payload !== base.payload);
  const isChanged = useMemo(() => !sameChain(chain, kept), [chain, kept]);
  const [leaving, setLeaving] = useState(false);
  useUnsaved((isChanged || isEdited) && !leaving);
  // Once the line above has told that nothing would be lost.
  useEffect(() => { if (leaving) go('endpoints', 'new'); }, [leaving]);

  const faults = useMemo(() => chainFaults(chain), [chain]);
  const fault = useMemo(() => (scene ? faultOf(scene.payload) : null), [scene?.payload]);
  // The chain of the endpoint that the address names: without it the first trial would be one of something else.
  const isComing = Boolean(query.endpoint) && endpoint?.id !== query.endpoint && !problem;
  const request = useMemo(() => (isComing ? null : requestOf({ scene, isEdited, endpoint, chain, isChanged, fault, faults })), [isComing, scene, isEdited, endpoint, chain, isChanged]);
  const trial = useTrial(request);
  const runs = useMemo(() => runsOf(trial.data, chain), [trial.data]);
  const errors = [...(trial.error?.errors ?? []), ...refused, ...(trial.error || trial.held ? [] : failuresOf(runs, chain))];

  // What was typed is given up only by somebody who says so.
  const offer = (source) => {
    if (source.kind === 'written' && source.payload === scene.payload) setScene(sceneOf(source));
    else if (isEdited) setAsking({ what: 'payload', source });
    else takeSource(source);
  };
  const ask = (id) => (isChanged ? setAsking({ what: 'endpoint', id }) : takeEndpoint(id));
  const saved = (now) => {
    setEndpoint(now);
    // As written here: the answer masks its texts.
    setKept(chain);
    setRefused([]);
    endpoints.reload();
  };
  const handOver = () => {
    try {
      sessionStorage.setItem(HANDED_OVER, chainJson(chain));
      setLeaving(true);
    } catch {
      toast('The browser keeps nothing for this page, so the chain cannot be taken along. Copy it as JSON.', 'bad');
    }
  };

  const tenantOf = endpoint?.tenant ?? query.tenant;
  return html`
    <${Page} title="Bench" wide>
      <${Problem} error=${problem} />
      <div class="bench-switch">
        <${Tabs} label="Parts of the bench" value=${pane} onValue=${setPane} tabs=${[['payload', 'Payload'], ['chain', 'Chain'], ['result', 'Result']]} />
        <${Outcome} data=${trial.error || trial.held ? null : trial.data} />
      </div>
      <div class="bench">
        <div class="bench-pane ${pane === 'payload' ? 'shown' : ''}">
          ${scene && html`<${Payload} scene=${scene} types=${types.data} fault=${fault} errors=${trial.error?.errors ?? []} edited=${isEdited} offered=${offered}
            tenant=${tenantOf} onSource=${offer} onScene=${setScene} onOffered=${() => setOffered(null)} />`}
        </div>
        <div class="bench-pane ${pane === 'chain' ? 'shown' : ''}">
          <${Card} title="Chain" class="bench-card" actions=${isChanged && html`<${Badge} tone="warn">not saved<//>`}>
            <${StartFrom} endpoints=${endpoints} endpoint=${endpoint} session=${session} onPick=${ask} />
            <${ChainEditor} value=${chain} errors=${errors} runs=${trial.error || trial.held ? [] : runs.map((run, index) => (named(chain[index]?.plugin).name === run.plugin ? run : null))} onExample=${setOffered} onValue=${(next) => { setRefused([]); setChain(next); }} />
            <${Saving} endpoint=${endpoint} chain=${chain} isChanged=${isChanged} faults=${faults} onSaved=${saved} onRefused=${setRefused} onHandOver=${handOver}
              onRevert=${() => setAsking({ what: 'revert' })} />
          <//>
          ${session.role === 'admin' && html`<${Backtest} chain=${chain} endpoint=${endpoint} faults=${faults} />`}
        </div>
        <div class="bench-pane bench-result ${pane === 'result' ? 'shown' : ''}">
          <${Result} trial=${trial} scene=${scene} steps=${(trial.data?.links.length ?? 0) - runs.length} onRetry=${trial.again} />
        </div>
      </div>
      ${asking?.what === 'endpoint' && html`<${Confirm} title="Leave what you changed in the chain?" verb="Leave it" act=${() => takeEndpoint(asking.id)} onClose=${() => setAsking(null)}>
        <p>It is not saved. The chain of what you chose takes its place.</p><//>`}
      ${asking?.what === 'payload' && html`<${Confirm} title="Leave what you changed in the payload?" verb="Leave it" act=${async () => takeSource(asking.source)} onClose=${() => setAsking(null)}>
        <p>It is kept nowhere else.</p><//>`}
      ${asking?.what === 'revert' && html`<${Confirm} title="Take back what you changed?" verb="Take it back" act=${async () => { setChain(kept); setRefused([]); }} onClose=${() => setAsking(null)}>
        <p>The chain becomes what it was when it was loaded or saved.</p><//>`}
    <//>`;
}

/** A sample of a type, or the latest event of it, or an empty payload of it. */
async function typed(type) {
  const sample = await sampleOf(type, 0).catch(() => null);
  if (sample?.payload) return sample;
  const events = await api.get('/v1/events', { type, limit: 1 });
  if (events.items.length) return eventOf(events.items[0].id);
  return { kind: 'written', type, payload: '{}', channels: [] };
}

/** What lies on the bench when nobody said anything: the first sample of the catalogue, else the latest event. */
async function first(tenant) {
  try {
    const types = await api.get('/v1/event-types', { limit: 200 });
    const type = types.items.find((one) => one.sample_count > 0 && !one.deprecated);
    if (type) return await sampleOf(type.name, 0);
    const events = await api.get('/v1/events', { tenant, limit: 1 });
    return events.items.length ? await eventOf(events.items[0].id) : null;
  } catch {
    return null;
  }
}

/** The body of the request; or, in `held`, why none is made. */
function requestOf({ scene, isEdited, endpoint, chain, isChanged, fault, faults }) {
  if (!scene) return null;
  if (fault) return { held: 'The payload is not JSON.' };
  if (faults.length) return { held: 'A configuration in the chain is not JSON.' };
  const isStored = scene.source.kind === 'event' && !isEdited;
  if (!isStored && !scene.type) return { held: 'Give the event a type.' };
  const members = [
    endpoint && `"endpoint":${JSON.stringify(endpoint.id)}`,
    // Left out where it is the endpoint's own: the server knows the texts that it masks.
    (!endpoint || isChanged) && `"transforms":${chainJson(chain)}`,
    ...(isStored ? [`"event":${JSON.stringify(scene.source.id)}`] : [
      `"type":${JSON.stringify(scene.type)}`,
      `"payload":${scene.payload.trim()}`,
      scene.channels.length > 0 && `"channels":${JSON.stringify(scene.channels)}`,
    ]),
  ];
  return { body: `{${members.filter(Boolean).join(',')}}` };
}

/** Runs the newest request after a pause. The last good answer stays; an answer to an earlier request is not looked at. */
function useTrial(request) {
  const [state, setState] = useState({ data: null, error: null, running: false, held: null });
  const [turn, setTurn] = useState(0);
  const body = request?.body;
  useEffect(() => {
    if (!request) return undefined;
    if (!body) {
      setState((old) => ({ ...old, error: null, running: false, held: request.held }));
      return undefined;
    }
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      setState((old) => ({ ...old, running: true }));
      try {
        const data = await api.post('/v1/transform', body, { raw: true, signal: abort.signal });
        if (!abort.signal.aborted) setState({ data, error: null, running: false, held: null });
      } catch (error) {
        if (!abort.signal.aborted) setState((old) => ({ ...old, error, running: false, held: null }));
      }
    }, state.data ? PAUSE_MS : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [body, request?.held, turn]);
  return { ...state, again: () => setTurn(turn + 1) };
}

/** The runs of the chain's own links: the steps to an older version of the payload come before them. */
function runsOf(data, chain) {
  if (!data) return [];
  const names = chain.map((link) => named(link.plugin).name);
  const { links } = data;
  const agrees = (skip) => links.slice(skip).every((run, index) => run.plugin === names[index]);
  const skip = data.request ? Math.max(0, links.length - names.length) : links.findIndex((_, index) => agrees(index));
  return skip < 0 || !agrees(skip) ? [] : links.slice(skip);
}

/** The member of a configuration in which lines are counted. */
const CODE = { template: 'template', script: 'code' };
const VERDICTS = ['pass', 'replace', 'drop', 'reject'];

/** What failed in the trial, as errors at its link. */
const failuresOf = (runs, chain) => runs.flatMap((run, index) => {
  if (VERDICTS.includes(run.verdict) || !run.reason || !chain[index]) return [];
  const code = CODE[named(chain[index].plugin).name];
  const isPlaced = code && /\bline \d+, column \d+/i.test(run.reason);
  return [{ pointer: `/transforms/${index}${isPlaced ? `/config/${code}` : ''}`, message: run.reason }];
});

/** The chain to begin with. */
function StartFrom({ endpoints, endpoint, session, onPick }) {
  const items = endpoints.data ?? [];
  const known = endpoint && !items.some((one) => one.id === endpoint.id) ? [endpoint, ...items] : items;
  const text = (one) => `${one.name}${session.role === 'admin' && one.tenant !== 'default' ? ` (${one.tenant})` : ''}`;
  const options = [['', 'No endpoint: a chain of its own'], ...known.toSorted((a, b) => a.name.localeCompare(b.name)).map((one) => [one.id, text(one)])];
  // Drawn anew where the choice was not taken over.
  const [turn, setTurn] = useState(0);
  return html`<${Field} label="Endpoint" error=${endpoints.error?.message} hint=${endpoint?.inherited.includes('transforms')
    ? 'It runs the chain of its tenant or of the host. Saved here, it gets one of its own.' : undefined}>${(a) => html`
    <${Select} key=${turn} ...${a} value=${endpoint?.id ?? ''} options=${options} onValue=${(id) => { onPick(id); setTurn(turn + 1); }} />`}<//>`;
}

/** Saves the chain to its endpoint, or takes it to a new one. */
function Saving({ endpoint, chain, isChanged, faults, onSaved, onRefused, onHandOver, onRevert }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [overtaken, setOvertaken] = useState(false);
  useEffect(() => setError(null), [chain, endpoint?.id]);
  const path = endpoint && `/v1/endpoints/${part(endpoint.id)}`;
  const write = async () => {
    const now = await api.patch(path, `{"transforms":${chainJson(chain)}}`, { raw: true, keep: ['config'] });
    onSaved(now);
    toast(`Saved. ${endpoint.name} shapes its next attempts so.`);
  };
  const save = async () => {
    setBusy(true);
    setError(null);
    try {
      const now = await api.get(path, {}, { keep: ['config'] });
      if (now.updated_at !== endpoint.updated_at && !sameChain(now.transforms ?? [], endpoint.transforms ?? [])) setOvertaken(true);
      else await write();
    } catch (problem) {
      setError(problem);
      onRefused(problem.errors ?? []);
    }
    setBusy(false);
  };
  return html`
    <div class="bench-save">
      ${error && html`<${Problem} error=${error} />`}
      <div class="actions">
        ${endpoint && html`<${Button} kind="primary" busy=${busy} disabled=${!isChanged || faults.length > 0} onClick=${save}>Save to this endpoint<//>`}
        <${Button} disabled=${faults.length > 0} onClick=${onHandOver}>New endpoint with this chain<//>
        ${isChanged && html`<${Button} kind="quiet" onClick=${onRevert}>Take back<//>`}
      </div>
      ${isMaskedChain(chain) && html`<p class="hint">A new endpoint does not get the texts that are stored and not shown: they are to be written there.</p>`}
      ${overtaken && html`<${Confirm} title="Somebody else changed this chain" verb="Save mine" act=${write} onClose=${() => setOvertaken(false)}>
        <p>${visible(endpoint.name)} has another chain than when it was loaded here. Saving replaces it by yours.</p><//>`}
    </div>`;
}
