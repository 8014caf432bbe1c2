// One event to one endpoint, of which nothing is kept: what was sent, what came back, how long it took.

import { html, useEffect, useRef, useState } from '../../lib/html.js';
import { all, api, part, useLoad } from '../../lib/api.js';
import { Segments } from '../../lib/choose.js';
import { bytes, millis, visible } from '../../lib/format.js';
import { elements, fault, pretty } from '../../lib/json.js';
import { Area, Badge, Button, Code, Dialog, Facts, Field, Headers, Input, Problem, Tabs, prose } from '../../lib/ui.js';
import { path } from './parts.js';
import { covers } from './subscription.js';

export function TestDialog({ endpoint, onClose }) {
  const [type, setType] = useState(endpoint.events.find((pattern) => !pattern.includes('*')) ?? '');
  const [mode, setMode] = useState('sample');
  const [own, setOwn] = useState('{}');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [result, setResult] = useState(null);
  const types = useLoad((signal) => all('/v1/event-types', {}, { signal }), []);
  const samples = useSamples(type, types.data);
  const [which, setWhich] = useState(0);
  useEffect(() => setWhich(0), [type]);
  const first = types.data?.find((one) => endpoint.events.some((pattern) => covers(pattern, one.name)));
  useEffect(() => { if (!type && first) setType(first.name); }, [first]);
  const sample = samples[which];
  const payload = mode === 'own' ? own : sample;
  const wrong = mode === 'own' ? fault(own) : null;
  const send = async (event) => {
    event.preventDefault();
    if (wrong) return;
    setBusy(true);
    setError(null);
    try {
      const members = [type.trim() && `"type":${JSON.stringify(type.trim())}`, payload !== undefined && `"payload":${payload}`].filter(Boolean);
      setResult(await api.post(path(endpoint.id, 'test'), `{${members.join(',')}}`, { raw: true }));
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  const change = () => {
    setOwn(pretty(sample ?? own));
    setMode('own');
  };
  const at = (pointer) => error?.errors.find((one) => one.pointer === pointer)?.message;
  return html`
    <${Dialog} wide title=${`Send a test event to “${visible(endpoint.name)}”`} onClose=${onClose}>
      <p class="hint">It goes through the endpoint’s chain, signature and connection, once, whether or not it is enabled. It bears the header <code>webhook-test: true</code> and is counted nowhere.</p>
      <form onSubmit=${send}>
        <${Field} label="Event type" error=${at('/type')} hint=${hintOf(endpoint, type)}>${(a) => html`
          <${Input} ...${a} list="test-types" value=${type} onValue=${setType} placeholder="test" />
          <datalist id="test-types">${types.data?.map((one) => html`<option key=${one.name} value=${one.name}>${visible(one.description)}</option>`)}</datalist>`}<//>
        <${Tabs} label="Payload" value=${mode} onValue=${setMode} tabs=${[['sample', 'Sample'], ['own', 'Own payload']]} />
        ${mode === 'own' ? html`
          <${Field} label="Payload, in JSON" error=${wrong ?? at('/payload')}>${(a) => html`<${Area} ...${a} rows="10" value=${own} onValue=${setOwn} />`}<//>`
          : html`
          ${samples.length > 1 && html`<${Segments} label="Which sample" value=${which} onValue=${setWhich} options=${samples.map((_, index) => [index, `Sample ${index + 1}`])} />`}
          ${sample === undefined ? html`<p class="faint">The catalogue has no sample of this type: a small payload of the host’s own is sent.</p>` : html`
            <${Code} text=${sample} label="Sample" copy=${false} />
            <${Button} onClick=${change}>Change it<//>`}`}
        <${Problem} error=${error && !at('/type') && !at('/payload') ? error : null} />
        <footer><${Button} onClick=${onClose}>Close<//><${Button} kind="primary" type="submit" busy=${busy}>Send<//></footer>
      </form>
      ${result && html`<${Result} result=${result} key=${result.event} />`}
    <//>`;
}

const hintOf = (endpoint, type) => (type && !endpoint.events.some((pattern) => covers(pattern, type))
  ? 'The endpoint does not listen to this type. The test is sent all the same.' : 'From the catalogue, or any other.');

/** The samples of a type, each as its JSON text. */
function useSamples(type, types) {
  const known = types?.some((one) => one.name === type && one.sample_count > 0);
  const { data } = useLoad(async (signal) => {
    if (!known) return [];
    const found = await api.get(`/v1/event-types/${part(type)}`, undefined, { signal, keep: ['samples', 'schema'] });
    return elements(found.samples) ?? [];
  }, [type, known]);
  return data ?? [];
}

function Result({ result }) {
  const [tab, setTab] = useState('answer');
  const place = useRef(null);
  useEffect(() => place.current.scrollIntoView({ block: 'start', behavior: 'smooth' }), []);
  const { request, response, timing_ms: timing } = result;
  const times = [['Transform', timing.transform], ['DNS', timing.dns], ['Connect', timing.connect], ['TLS', timing.tls], ['First byte', timing.first_byte]].filter(([, ms]) => ms !== null);
  return html`
    <section class="test-result" aria-live="polite" ref=${place}>
      <h3>Result</h3>
      <p class="row"><${Badge} state=${result.outcome === 'delivered' ? 'delivered' : 'failed'}>${result.outcome.replace('_', ' ')}<//>
        ${result.status !== null && html`<strong>${result.status}</strong>`}<span>in ${millis(result.duration_ms)}</span>
        <span class="faint">${times.map(([word, ms]) => `${word} ${millis(ms)}`).join(' · ')}</span></p>
      ${result.reason && html`<p>${visible(result.reason)}</p>`}
      ${result.hint && html`<p class="note">${prose(result.hint)}</p>`}
      ${result.plugins.length > 0 && html`<${Facts} pairs=${result.plugins.map((run) => [`${run.plugin} ${run.version}`, html`${run.verdict}, ${millis(run.duration_ms)}, ${bytes(run.memory_bytes)}${run.log.map((line) => html`<br /><code>${visible(line.level)}: ${visible(line.line)}</code>`)}`])} />`}
      <${Tabs} label="What was sent and what came back" value=${tab} onValue=${setTab} tabs=${[['answer', 'Answer'], ['request', 'Request']]} />
      ${tab === 'answer' ? (response ? html`<${Message} message=${response} head=${String(response.status)} /> ` : html`<p class="faint">There was no answer.</p>`)
        : request ? html`<${Message} message=${request} head=${`${request.method} ${request.url}`} />` : html`<p class="faint">Nothing was sent.</p>`}
    </section>`;
}

const Message = ({ message, head }) => html`
  <p class="mono">${visible(head)}</p>
  <${Headers} headers=${message.headers} />
  ${message.body.content ? html`<${Code} text=${message.body.content} label="Body" />` : html`<p class="faint">The body is empty.</p>`}
  ${message.body.encoding === 'base64' && html`<p class="hint">The body is no text; it is shown in base64.</p>`}
  ${message.body.truncated && html`<p class="hint">Only its beginning is shown.</p>`}`;
