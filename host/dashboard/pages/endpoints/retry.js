// When a delivery is tried again, written and drawn.

import { html } from '../../lib/html.js';
import { duration, plural, seconds } from '../../lib/format.js';
import { Field, Input } from '../../lib/ui.js';

/** Attempts of a policy without an end that are drawn. */
const DRAWN = 8;
const WIDTH = 640;
const EDGE = 14;

export const spans = (text) => text.split(/[\s,;]+/).filter(Boolean);

/** The moments of the attempts, in seconds after the first; `null` where a span is none. */
export function moments(policy) {
  if (!policy) return null;
  if (policy.attempts) return { at: [0] };
  const at = [0];
  if (policy.schedule) {
    for (const span of policy.schedule) {
      const pause = seconds(span);
      if (pause === null) return null;
      at.push(at.at(-1) + pause);
    }
    return { at };
  }
  const every = seconds(policy.every);
  const end = policy.for ? seconds(policy.for) : Infinity;
  if (!every || end === null) return null;
  const count = Math.floor(end / every) + 1;
  while (at.length < Math.min(count, DRAWN)) at.push(at.length * every);
  return { at, count, end };
}

/** A policy in a sentence. */
export function told(policy) {
  const line = moments(policy);
  if (!line) return null;
  if (policy.schedule?.length || line.at.length > 1) {
    if (policy.every) {
      return policy.for ? `Every ${duration(seconds(policy.every))} for ${duration(line.end)}: ${plural(line.count, 'attempt')}.`
        : `Every ${duration(seconds(policy.every))} until it arrives, or is too old for the host.`;
    }
    return `${plural(line.at.length, 'attempt')}: at once, then after ${policy.schedule.map((span) => duration(seconds(span))).join(', ')}. The last one comes ${duration(line.at.at(-1))} after the first.`;
  }
  return 'One attempt, and no retry.';
}

/** The attempts on a line whose scale is logarithmic: seconds and days both find room. */
export function TimeLine({ policy }) {
  const line = moments(policy);
  if (!line) return null;
  const drawn = line.at.at(-1);
  const goesOn = policy.every && line.count > line.at.length;
  const last = Math.max(goesOn && line.end !== Infinity ? line.end : drawn, 1);
  // What goes on without an end leaves room to the right.
  const width = (WIDTH - 2 * EDGE - 30) * (line.end === Infinity ? 0.8 : 1);
  const x = (at) => EDGE + (Math.log1p(at) / Math.log1p(last)) * width;
  const marks = labelled(goesOn && line.end !== Infinity ? [...line.at, line.end] : line.at, x);
  return html`
    <figure class="time-line">
      <svg viewBox="0 0 ${WIDTH} 46" aria-hidden="true" focusable="false">
        <line x1=${EDGE} x2=${x(line.at.length === 1 ? 0 : drawn)} y1="14" y2="14" />
        ${goesOn && html`<line x1=${x(drawn)} x2=${line.end === Infinity ? WIDTH - EDGE : x(last)} y1="14" y2="14" stroke-dasharray="3 4" />`}
        ${goesOn && line.end !== Infinity && html`<circle cx=${x(last)} cy="14" r="5" />`}
        ${line.at.map((at, index) => html`<circle key=${index} cx=${x(line.at.length === 1 ? 0 : at)} cy="14" r=${index === 0 ? 6 : 5} class=${index === 0 ? 'first' : ''} />`)}
        ${marks.map((at) => html`<text key=${at} x=${x(at)} y="38" text-anchor=${at === 0 ? 'start' : at === last ? 'end' : 'middle'} dx=${at === 0 ? -EDGE / 2 : at === last ? 20 : 0}>${at === 0 ? 'at once' : duration(at)}</text>`)}
      </svg>
      <figcaption class="hint">${told(policy)}</figcaption>
    </figure>`;
}

/** The moments that have room for a label; the first and the last always do. */
function labelled(at, x) {
  const last = at.at(-1);
  const marks = [];
  for (const moment of at) {
    const room = marks.length === 0 || x(moment) - x(marks.at(-1)) > 72;
    if (moment === last || (room && (moment === 0 || x(last) - x(moment) > 80))) marks.push(moment);
  }
  return [...new Set(marks)];
}

export function RetryFields({ value, onValue, error, inherited }) {
  const set = (members) => onValue({ ...value, ...members });
  const policy = value.mode === 'inherited' ? inherited : policyOf(value);
  const bad = value.mode === 'schedule' ? spans(value.schedule).find((span) => seconds(span) === null) : undefined;
  return html`
    <${Field} label="Retries" error=${error('/retry')}>${(a) => html`
      <select ...${a} onChange=${(e) => set({ mode: e.target.value })}>${[
        ['inherited', 'As the tenant or the host says'], ['schedule', 'After each of these pauses'], ['every', 'At a steady pace'], ['once', 'Never: one attempt'],
      ].map(([word, text]) => html`<option key=${word} value=${word} selected=${word === value.mode}>${text}</option>`)}</select>`}<//>
    ${value.mode === 'schedule' && html`
      <${Field} label="Pauses between the attempts" hint="One retry after each: 5s, 1m, 30m, 2h, 1d." error=${bad ? `“${bad}” is no span of time; write 30s, 5m, 2h or 1d.` : error('/retry/schedule', true)}>${(a) => html`
        <${Input} ...${a} class="mono" value=${value.schedule} onValue=${(schedule) => set({ schedule })} />`}<//>`}
    ${value.mode === 'every' && html`
      <div class="columns">
        <${Field} label="Every" hint="10s, 5m, 1h" error=${error('/retry/every')}>${(a) => html`<${Input} ...${a} class="mono" value=${value.every} onValue=${(every) => set({ every })} />`}<//>
        <${Field} label="For" optional hint="72h, 7d. Left empty: until it arrives." error=${error('/retry/for')}>${(a) => html`<${Input} ...${a} class="mono" value=${value.for} onValue=${(lasting) => set({ for: lasting })} />`}<//>
      </div>`}
    <${TimeLine} policy=${policy} />`;
}

/** What the interface takes; `null` where it is inherited. */
export function policyOf({ mode, schedule, every, for: lasting }) {
  if (mode === 'schedule') return { schedule: spans(schedule) };
  if (mode === 'every') return { every: every.trim(), ...(lasting.trim() && { for: lasting.trim() }) };
  return mode === 'once' ? { attempts: 1 } : null;
}

export function stateOf(policy, inherited) {
  const empty = { mode: 'inherited', schedule: '1m, 5m, 30m, 2h, 24h', every: '1m', for: '72h' };
  if (!policy || inherited) return policy?.schedule ? { ...empty, schedule: policy.schedule.join(', ') } : empty;
  if (policy.schedule) return { ...empty, mode: 'schedule', schedule: policy.schedule.join(', ') };
  if (policy.every) return { ...empty, mode: 'every', every: policy.every, for: policy.for ?? '' };
  return { ...empty, mode: 'once' };
}
