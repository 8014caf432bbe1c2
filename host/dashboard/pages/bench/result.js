// The right of the bench: what the chain makes of the payload, link by link, up to the request.

import { html, useMemo, useState } from '../../lib/html.js';
import { Badge, Button, Card, Code, Facts, Headers, Problem, Spinner, Tabs, prose } from '../../lib/ui.js';
import { bytes, millis, visible } from '../../lib/format.js';
import { Verdict } from '../../lib/chain.js';
import { Preview, recognise } from '../../lib/preview.js';

const OUTCOMES = {
  filtered: ['calm', 'Nothing is sent', 'The event is not for this endpoint.'],
  rejected: ['bad', 'Nothing is sent', 'The message can never be delivered.'],
  plugin_failed: ['bad', 'A plugin fails', 'Nothing is sent.'],
};

/** What it comes to, in a few words. */
export function Outcome({ data }) {
  if (!data) return null;
  if (data.request) return html`<${Badge} tone="good">Would be sent<//>`;
  const [tone, words] = OUTCOMES[data.outcome] ?? ['bad', 'Nothing is sent'];
  return html`<${Badge} tone=${tone}>${words}<//>`;
}

/**
 * `trial`: `{data, error, running, held}`: the last good answer, what the newest one failed with, and why nothing is asked.
 */
export function Result({ trial, scene, steps, onRetry }) {
  const { data, error, running, held } = trial;
  const stages = useMemo(() => stagesOf(data, scene, steps), [data, steps]);
  const [picked, setPicked] = useState('end');
  // The end is the request, or the link at which it ended.
  const end = stages.at(-1)?.word;
  const now = picked === 'end' || !stages.some((stage) => stage.word === picked) ? end : picked;
  const stage = stages.find((one) => one.word === now);
  const isOld = Boolean(error || held);
  return html`
    <${Card} title="Result" class="bench-card" actions=${html`<span class="row" role="status">${running && html`<span class="faint">Running …</span>`}<${Outcome} data=${isOld ? null : data} /></span>`}>
      ${held && html`<p class="problem">${held} ${data && 'Below is the last result.'}</p>`}
      ${error && html`<${Problem} error=${told(error)} retry=${error.status === 0 || error.status >= 500 ? onRetry : undefined} />`}
      ${!data && !error && !held && html`<${Spinner} label="Running the chain" />`}
      ${data && html`
        <div class=${isOld ? 'bench-old' : ''}>
          ${!data.request && html`<${Ended} data=${data} />`}
          <${Tabs} label="Stages" value=${now} tabs=${stages.map((one) => [one.word, html`${one.text}${one.run && html` <span class="dot" data-colour=${colourOf(one.run.verdict)} title=${one.run.verdict}></span>`}`])}
            onValue=${(word) => setPicked(word === end ? 'end' : word)} />
          ${stage.word === 'input' && html`<${Code} text=${stage.body} label="Payload" />`}
          ${stage.run && html`<${Ran} run=${stage.run} />`}
          ${stage.word === 'request' && html`<${Sent} data=${data} />`}
        </div>`}
    <//>`;
}

const MASKED = 'The chain has texts that the server stores and does not show. They are known as long as their place is clear: in a chain of the same plugins, in lists of the same length. Write the others anew.';

/** A refusal in the words of the page: what is said at a link is not said again in full. */
function told(error) {
  const { errors = [] } = error;
  if (errors.some(({ message }) => message.startsWith('it is masked'))) return { message: MASKED };
  const lines = errors.map(({ pointer, message }) => {
    const [, place, rest] = /^\/transforms\/(\d+)(?:\/config)?(.*)$/.exec(pointer) ?? [];
    return place === undefined ? `${pointer.slice(1)}: ${message}` : `Link ${Number(place) + 1}${rest && `, ${rest.slice(1)}`}: ${message}`;
  });
  return { message: lines.length ? lines.join(' ') : error.message };
}

const colourOf = (verdict) => ({ pass: 'good', replace: 'info', drop: 'warn', reject: 'bad' })[verdict] ?? 'bad';

function stagesOf(data, scene, steps) {
  if (!data) return [];
  const links = data.links.map((run, index) => ({ word: `link-${index}`, text: index < steps ? run.plugin : `${index - steps + 1} ${run.plugin}`, run }));
  return [{ word: 'input', text: 'Input', body: scene.payload }, ...links, ...(data.request ? [{ word: 'request', text: 'Request' }] : [])];
}

/** Why nothing would be sent. */
const Ended = ({ data }) => html`
  <div class=${data.outcome === 'filtered' ? 'note' : 'problem'} role="status">
    <p class="strong">${(OUTCOMES[data.outcome] ?? [null, null, 'Nothing is sent.'])[2]}${data.kind && html` <code>${visible(data.kind)}</code>`}</p>
    ${data.reason && html`<p>${prose(data.reason)}</p>`}
    ${data.hint && html`<p class="hint">${prose(data.hint)}</p>`}
  </div>`;

/** What one link did. */
const Ran = ({ run }) => html`
  <p class="row"><${Verdict} word=${run.verdict} /><span class="faint">${visible(run.plugin)} ${visible(run.version)}, <span title=${run.digest}>${run.digest.slice(0, 8)}</span></span></p>
  ${run.reason && html`<p>${prose(run.reason)}</p>`}
  <${Facts} pairs=${[['Time', millis(run.duration_ms)], ['Memory', run.memory_bytes ? bytes(run.memory_bytes) : 'not kept']]} />
  <${Log} lines=${run.log} />
  <${Message} message=${run.message} unchanged=${run.verdict !== 'replace'} />`;

const LEVELS = { error: 'bad', warn: 'warn', warning: 'warn', info: 'info' };

const Log = ({ lines }) => lines.length > 0 && html`
  <h3>Log</h3>
  <ul class="bench-log">${lines.map((line, index) => html`<li key=${index}><${Badge} tone=${LEVELS[line.level]}>${visible(line.level)}<//> <span class="mono">${visible(line.line)}</span></li>`)}</ul>`;

function Message({ message, unchanged }) {
  const own = [message.path_and_query && ['Path and query', message.path_and_query], ['Method', message.method], ['Content type', message.content_type]];
  return html`
    <h3>${unchanged ? 'The message, as it was' : 'The message after it'}</h3>
    <${Facts} pairs=${own.filter(Boolean).map(([name, value]) => [name, html`<code>${visible(value)}</code>`])} />
    ${message.headers.length > 0 && html`<${Headers} headers=${message.headers} />`}
    <${Body} body=${message.body} label="Message" />`;
}

const Body = ({ body, label }) => html`
  ${body.encoding === 'base64' && html`<p class="hint">No text, and shown in base64.</p>`}
  <${Code} text=${body.content} label=${label} json=${body.encoding !== 'base64'} />
  ${body.truncated && html`<p class="hint">Cut here; it has ${bytes(body.length)} in all.</p>`}`;

/** The request, and how a chat would show it. */
function Sent({ data }) {
  const { request } = data;
  const found = useMemo(() => (request.body.encoding === 'utf-8' && !request.body.truncated
    ? recognise(request.body.content, { url: request.url, plugins: data.links.map((link) => link.plugin) }) : null), [data]);
  const [shown, setShown] = useState('preview');
  const now = shown === 'preview' && !found ? 'body' : shown;
  const total = data.links.reduce((sum, link) => sum + link.duration_ms, 0);
  return html`
    <p class="bench-line"><strong>${visible(request.method)}</strong> <code>${request.url ? visible(request.url) : 'the endpoint’s URL'}</code></p>
    <p class="faint">${data.links.length > 0 ? html`The chain took ${millis(total)}. ` : 'There are no links: the payload goes out as it is. '}${data.endpoint ? '' : 'Without an endpoint it has no URL and is not signed.'}</p>
    <${Tabs} label="Request" value=${now} onValue=${setShown}
      tabs=${[...(found ? [['preview', `As in ${found.name}`]] : []), ['body', 'Body'], ['headers', `Headers (${request.headers.length})`]]} />
    ${now === 'preview' && html`<${Preview} found=${found} />`}
    ${now === 'body' && html`<${Body} body=${request.body} label="Body of the request" />`}
    ${now === 'headers' && html`<${Headers} headers=${request.headers} />`}`;
}
