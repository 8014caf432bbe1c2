// The left of the bench: what goes in. A sample of the catalogue, a stored event, or what somebody writes.

import { html, useEffect, useState } from '../../lib/html.js';
import { api, part, useLoad } from '../../lib/api.js';
import { Button, Card, Field, Input, Select, Tabs } from '../../lib/ui.js';
import { ago, visible } from '../../lib/format.js';
import { elements, pretty } from '../../lib/json.js';
import { CodeField } from '../../lib/editor.js';

/** Stored events that are offered. */
const OFFERED = 25;
/** Events have ids of this form. */
const EVENT_ID = /^evt_[0-9a-v]{26}$/;
/** Larger payloads are shown as they are: laying them out would take longer than looking at them helps. */
const LAID_OUT_MOST = 200_000;

const laidOut = (text) => pretty(text, LAID_OUT_MOST);

export async function sampleOf(type, index, signal) {
  const found = await api.get(`/v1/event-types/${part(type)}`, {}, { signal, keep: ['samples'] });
  const samples = elements(found.samples) ?? [];
  return { kind: 'sample', type, index, count: samples.length, payload: samples[index] === undefined ? null : laidOut(samples[index]) };
}

export async function eventOf(id, signal) {
  const event = await api.get(`/v1/events/${part(id)}`, {}, { signal, keep: ['payload'] });
  return { kind: 'event', id, type: event.type, payload: laidOut(event.payload), channels: event.channels, tenant: event.tenant };
}

/**
 * `scene`: `{source: {kind, ...}, type, payload, channels}`. `onSource`: another source, with its payload. `onScene`: edited.
 */
export function Payload({ scene, types, fault, errors, edited, offered, onSource, onScene, onOffered, tenant }) {
  const [tab, setTab] = useState(scene.source.kind);
  const [problem, setProblem] = useState(null);
  useEffect(() => setTab(scene.source.kind), [scene.source.kind]);
  const load = async (work) => {
    setProblem(null);
    try {
      const found = await work();
      if (found.payload === null) setProblem(`There is no sample of ${found.type}. Write one in the catalogue, or here.`);
      else onSource(found);
    } catch (error) {
      setProblem(error.message);
    }
  };
  const said = (pointer) => errors.filter((error) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`)).map((error) => error.message).join(' ') || undefined;
  const written = () => { setTab('written'); onSource({ kind: 'written', type: scene.type, payload: scene.payload, channels: scene.channels }); };
  const wrong = fault ?? (said('/payload') && { message: said('/payload') });
  return html`
    <${Card} title="Payload" class="bench-card">
      <${Tabs} label="Where the payload comes from" value=${tab} tabs=${[['sample', 'Sample'], ['event', 'Stored'], ['written', 'Own']]}
        onValue=${(next) => (next === 'written' ? written() : setTab(next))} />
      ${tab === 'sample' && html`<${Samples} source=${scene.source} types=${types} onPick=${(type, index) => load(() => sampleOf(type, index))} />`}
      ${tab === 'event' && html`<${Stored} source=${scene.source} types=${types} tenant=${tenant} onPick=${(id) => load(() => eventOf(id))} error=${said('/event')} />`}
      ${tab === 'written' && html`<${Written} scene=${scene} types=${types} said=${said} onScene=${onScene} />`}
      ${problem && html`<p class="error" role="alert">${visible(problem)}</p>`}
      ${offered && html`<p class="note">The example “${visible(offered.title)}” comes with a payload of its own.
        <span class="row"><${Button} onClick=${() => { onSource({ kind: 'written', type: offered.event_type, payload: laidOut(offered.input), channels: [] }); onOffered(); }}>Use it<//>
        <${Button} kind="quiet" onClick=${onOffered}>Not now<//></span></p>`}
      <${CodeField} id="bench-payload" label=${edited ? 'JSON (edited)' : 'JSON'} value=${scene.payload} rows=${20} error=${wrong} message=${wrong?.message}
        onValue=${(payload) => onScene({ ...scene, payload })} />
      <div class="row">
        <${Button} kind="quiet" disabled=${Boolean(fault)} onClick=${() => onScene({ ...scene, payload: laidOut(scene.payload) })}>Format<//>
      </div>
    <//>`;
}

function Samples({ source, types, onPick }) {
  const withSamples = (types ?? []).filter((type) => type.sample_count > 0);
  const type = source.kind === 'sample' ? source.type : '';
  if (types && withSamples.length === 0) return html`<p class="faint">The catalogue has no samples yet. They are written down under <a href="#/event-types">Event types</a>.</p>`;
  return html`
    <div class="bench-source">
      <${Field} label="Event type">${(a) => html`<${Grouped} ...${a} types=${withSamples} value=${type} onValue=${(next) => next && onPick(next, 0)} />`}<//>
      ${source.kind === 'sample' && source.count > 1 && html`<${Field} label="Sample">${(a) => html`
        <${Select} ...${a} value=${String(source.index)} options=${Array.from({ length: source.count }, (_, index) => [String(index), String(index + 1)])}
          onValue=${(index) => onPick(type, Number(index))} />`}<//>`}
    </div>`;
}

/** Event types by their groups. */
function Grouped({ types, value, onValue, ...rest }) {
  const groups = Map.groupBy ? Map.groupBy(types, (type) => type.group) : types.reduce((map, type) => map.set(type.group, [...(map.get(type.group) ?? []), type]), new Map());
  const option = (type) => html`<option key=${type.name} value=${type.name} selected=${type.name === value}>${type.name}${type.deprecated ? ' (deprecated)' : ''}</option>`;
  return html`<select ...${rest} onChange=${(event) => onValue(event.target.value)}>
    <option value="" selected=${value === ''}>Choose …</option>
    ${[...groups].map(([group, own]) => (group ? html`<optgroup key=${group} label=${visible(group)}>${own.map(option)}</optgroup>` : own.map(option)))}</select>`;
}

function Stored({ source, types, tenant, onPick, error }) {
  const [type, setType] = useState('');
  const [id, setId] = useState(source.kind === 'event' ? source.id : '');
  useEffect(() => { if (source.kind === 'event') setId(source.id); }, [source.id]);
  const events = useLoad((signal) => api.get('/v1/events', { type, tenant, limit: OFFERED }, { signal }), [type, tenant]);
  const items = events.data?.items ?? [];
  const names = [...new Set([...(types ?? []).map((one) => one.name), ...(type ? [type] : [])])];
  const take = (next) => { setId(next); if (EVENT_ID.test(next.trim())) onPick(next.trim()); };
  return html`
    <div class="bench-source">
      <${Field} label="Of type">${(a) => html`<${Select} ...${a} value=${type} options=${[['', 'any'], ...names.map((name) => [name, name])]} onValue=${setType} />`}<//>
      <${Field} label="Latest events" hint=${events.data && items.length === 0 ? 'No event of this kind is stored.' : undefined} error=${events.error?.message}>${(a) => html`
        <${Select} ...${a} value=${items.some((event) => event.id === source.id) ? source.id : ''} onValue=${(next) => next && onPick(next)}
          options=${[['', 'Choose …'], ...items.map((event) => [event.id, `${event.type}, ${ago(event.accepted_at)}, …${event.id.slice(-6)}`])]} />`}<//>
      <${Field} label="Or by its id" error=${error ?? (id && !EVENT_ID.test(id.trim()) ? 'An id begins with evt_ and has 26 more letters and digits.' : undefined)}>${(a) => html`
        <${Input} ...${a} value=${id} placeholder="evt_…" onValue=${take} />`}<//>
    </div>`;
}

function Written({ scene, types, said, onScene }) {
  return html`
    <div class="bench-source">
      <${Field} label="Event type" error=${said('/type')}>${(a) => html`
        <${Input} ...${a} list="bench-types" value=${scene.type} onValue=${(type) => onScene({ ...scene, type: type.trim() })} />`}<//>
      <datalist id="bench-types">${(types ?? []).map((type) => html`<option key=${type.name} value=${type.name} />`)}</datalist>
      <${Field} label="Channels" optional error=${said('/channels')}>${(a) => html`
        <${Input} ...${a} value=${scene.channels.join(', ')} onValue=${(text) => onScene({ ...scene, channels: text.split(/[\s,]+/).filter(Boolean) })} />`}<//>
    </div>`;
}
