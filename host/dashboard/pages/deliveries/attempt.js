// One attempt: what was sent, what came back, what the plugins did, and where the time went.

import { html, useState } from '../../lib/html.js';
import { bytes, duration, millis } from '../../lib/format.js';
import { link } from '../../lib/route.js';
import { Badge, Code, Copy, Headers, Time, prose, visible } from '../../lib/ui.js';
import { curl, lacks } from './curl.js';

const OUTCOMES = {
  delivered: 'delivered', refused: 'refused', gone: 'gone', unreachable: 'unreachable', filtered: 'filtered', rejected: 'rejected',
  plugin_failed: 'plugin failed', judged: 'judged',
};
const OUTCOME_TONES = { delivered: 'good', filtered: 'calm' };

const WARNINGS = {
  near_timeout: 'The receiver needed most of the time it has. Have it answer at once and do the work afterwards, or raise the timeout.',
  recovered: 'It arrived, but only at a retry. Look at the failed attempts before it: the receiver may be unsteady.',
  answer_truncated: 'The answer was longer than what is kept of it. Nothing is wrong with the delivery.',
  rate_limited: 'It waited for the endpoint’s rate limit.',
  deprecated_type: 'The event’s type is deprecated. Subscribe to the one that replaces it before it goes.',
  judge_failed: 'The plugin that reads the receiver’s answers failed at this one, so its status alone decided.',
};

/** Open where it is the newest when it comes into sight; what the reader opened or closed stays so. `told`: why it did not arrive
 *  stands above already. */
export function Attempt({ attempt, open: opened, told }) {
  const [open] = useState(opened);
  const { number, status, outcome, duration_ms: spent, started_at: at } = attempt;
  return html`
    <details class="attempt card" open=${open}>
      <summary>
        <span class="strong">Attempt ${number}</span>
        <${Badge} tone=${OUTCOME_TONES[outcome] ?? 'bad'}>${OUTCOMES[outcome] ?? outcome}<//>
        ${status != null && html`<span class="mono">${status}</span>`}
        <span>${millis(spent)}</span>
        <span class="faint"><${Time} at=${at} /></span>
      </summary>
      ${!told && attempt.reason && html`<p class="strong">${visible(attempt.reason)}</p>`}
      ${!told && attempt.hint && html`<p class="note">${prose(attempt.hint)}</p>`}
      ${attempt.retry_after_s != null && html`<p>The receiver asked to be left alone for ${duration(attempt.retry_after_s)}.</p>`}
      ${attempt.warnings.map((word) => html`<p key=${word} class="warned"><${Badge} state="warning">${word.replaceAll('_', ' ')}<//> ${WARNINGS[word]}</p>`)}
      <${Times} attempt=${attempt} />
      <${Plugins} runs=${attempt.plugins} />
      <${Sent} request=${attempt.request} />
      <${Answer} response=${attempt.response} />
    </details>`;
}

/** Parts of the time: name, milliseconds. The first byte is counted from the request's beginning, connecting included. */
function spans({ timing_ms: timing, duration_ms: spent }) {
  const reached = (timing.dns ?? 0) + (timing.connect ?? 0) + (timing.tls ?? 0);
  const answer = timing.first_byte == null ? null : Math.max(0, timing.first_byte - reached);
  const told = (timing.transform ?? 0) + (timing.first_byte ?? reached);
  return [
    ['queue', 'Queue', timing.queue],
    ['transform', 'Transform', timing.transform],
    ['connect', 'Connect', reached || null, [['name', timing.dns], ['connection', timing.connect], ['TLS', timing.tls]]],
    ['answer', 'Answer', answer],
    ['rest', timing.first_byte == null ? 'Waiting' : 'The rest', Math.max(0, spent - told)],
  ].filter(([, , ms]) => ms != null && ms > 0.0005);
}

function Times({ attempt }) {
  const parts = spans(attempt);
  if (!parts.length) return null;
  const text = parts.map(([, name, ms]) => `${name} ${millis(ms)}`).join(', ');
  return html`
    <h3>Time</h3>
    <div class="times" role="img" aria-label=${text}>${parts.map(([key, , ms]) => html`
      <span key=${key} class=${`span-${key}`} style=${{ flexGrow: String(Math.max(ms, 0.001)) }}></span>`)}</div>
    <ul class="times-legend">${parts.map(([key, name, ms, more]) => html`
      <li key=${key}><i class=${`dot span-${key}`}></i>${name} <strong>${millis(ms)}</strong>
        ${more && html`<span class="faint"> (${more.filter(([, part]) => part != null).map(([word, part]) => `${word} ${millis(part)}`).join(', ')})</span>`}</li>`)}</ul>`;
}

const TASKS = { transform: 'shaped the message', judge: 'read the answer' };

const Plugins = ({ runs }) => runs.length > 0 && html`
  <h3>Plugins</h3>
  <ol class="runs">${runs.map((run, at) => html`
    <li key=${at}>
      <p class="row"><a class="strong" href=${link('plugins', run.plugin)}>${visible(run.plugin)}</a>
        <span>${visible(run.version)}</span><code title=${run.digest}>${run.digest.slice(0, 12)}</code>
        <${Badge} state=${run.verdict}>${visible(run.verdict.replaceAll('_', ' '))}<//>
        <span class="faint">${TASKS[run.task]} in ${millis(run.duration_ms)}${run.memory_bytes > 0 && `, ${bytes(run.memory_bytes)} of memory`}</span></p>
      ${run.log.length > 0 && html`<ul class="run-log" aria-label="Log">${run.log.map((entry, line) => html`
        <li key=${line}><span class=${`level ${entry.level}`}>${visible(entry.level)}</span> ${visible(entry.line)}</li>`)}</ul>`}
    </li>`)}</ol>`;

function Sent({ request }) {
  if (!request) return html`<h3>Request</h3><p class="faint">None was made: the chain ended before.</p>`;
  return html`
    <div class="row between"><h3>Request</h3><${Copy} text=${() => curl(request)} label="Copy as curl" /></div>
    ${lacks(request).map((note) => html`<p key=${note} class="hint">${note}</p>`)}
    <p class="mono">${visible(request.method)} ${visible(request.url)}</p>
    <${Folded} title="Headers" count=${request.headers.length}><${Headers} headers=${request.headers} /><//>
    <${Body} body=${request.body} label="Body of the request" />`;
}

const Answer = ({ response }) => (response ? html`
  <h3>Response</h3>
  <p class="mono">Status ${response.status}</p>
  <${Folded} title="Headers" count=${response.headers.length}><${Headers} headers=${response.headers} /><//>
  <${Body} body=${response.body} label="Body of the response" />` : html`<h3>Response</h3><p class="faint">No answer came.</p>`);

const Folded = ({ title, count, children }) => html`
  <details class="folded" open><summary>${title} <span class="faint">(${count})</span></summary>${children}</details>`;

export function Body({ body, label }) {
  if (!body.content) return html`<p class="faint">The body is empty.</p>`;
  const isText = body.encoding === 'utf-8';
  return html`
    ${!isText && html`<p class="hint">The body is no text; these are its bytes in base64.</p>`}
    <${Code} text=${body.content} label=${label} json=${isText && !body.truncated} />
    <p class="hint">${body.length != null && bytes(body.length)}${body.truncated && html` ${body.length != null ? '· ' : ''}Only the first part of it was kept.`}</p>`;
}
