// Describing an event type. Samples and schema are texts here, and go to the server as they stand: digits and white space stay.

import { html, useState } from '../../lib/html.js';
import { all, api, part, useLoad } from '../../lib/api.js';
import { elements, fault, pretty } from '../../lib/json.js';
import { go, link, useUnsaved } from '../../lib/route.js';
import { Area, Button, Card, Check, Field, Input, Page, Problem, Spinner, toast } from '../../lib/ui.js';

const EMPTY = { name: '', group: '', description: '', samples: ['{}'], schema: '', check: false, deprecated: false, stored: new Map() };
const SAMPLES_MOST = 16;

export function EditType({ name }) {
  const path = name && `/v1/event-types/${part(name)}`;
  const { data, error } = useLoad(async (signal) => (path ? formOf(await api.get(path, {}, { signal, keep: ['samples', 'schema'] })) : EMPTY), [path]);
  const back = name ? { href: link('event-types', name), text: name } : { href: link('event-types'), text: 'Event types' };
  return html`
    <${Page} title=${name ? `Edit ${name}` : 'Describe an event type'} back=${back}>
      <${Problem} error=${error} />
      ${!data && !error && html`<${Spinner} />`}
      ${data && html`<${Form} before=${data} name=${name} />`}
    <//>`;
}

/** What was posted on one line is easier to change in several; what has lines already stays as it is. */
const shownOf = (text) => (text.includes('\n') ? text : pretty(text));

function formOf(type) {
  const samples = elements(type.samples) ?? [];
  return {
    ...type,
    samples: samples.map(shownOf),
    // A sample that nobody changed goes back byte for byte.
    stored: new Map(samples.map((sample) => [shownOf(sample), sample])),
    schema: type.schema === 'null' ? '' : shownOf(type.schema),
  };
}

/** The members as JSON text. */
function textOf(form) {
  const { group, description, check, deprecated, samples, stored, schema } = form;
  const rest = JSON.stringify({ group, description, check, deprecated }).slice(0, -1);
  return `${rest},"samples":[${samples.map((sample) => stored.get(sample) ?? sample).join(',')}],"schema":${schema.trim() || 'null'}}`;
}

/** What no request is needed to find. */
function faults(form) {
  const found = form.samples.map((sample, at) => ({ pointer: `/samples/${at}`, message: fault(sample) }));
  if (form.schema.trim()) found.push({ pointer: '/schema', message: fault(form.schema) });
  return found.filter((one) => one.message);
}

const LISTED_MOST = 10_000;

const isTaken = async (name) => (await all('/v1/event-types', {}, { most: LISTED_MOST })).some((type) => type.name === name);

function Form({ before, name }) {
  const [form, setForm] = useState(before);
  const [saved, setSaved] = useState(false);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const groups = useLoad((signal) => all('/v1/event-types', {}, { signal }), []).data ?? [];
  useUnsaved(!saved && JSON.stringify(form) !== JSON.stringify(before));
  const set = (change) => setForm((old) => ({ ...old, ...change }));
  const setSample = (at, text) => set({ samples: form.samples.map((one, place) => (place === at ? text : one)) });
  const errorsAt = (pointer) => (error?.errors ?? []).filter((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`));
  const wrong = (pointer) => errorsAt(pointer).map((one) => (one.pointer === pointer ? one.message : `${one.pointer.slice(pointer.length)}: ${one.message}`)).join(' ') || undefined;
  const shown = ['/name', '/group', '/description', '/schema', ...form.samples.map((_, at) => `/samples/${at}`)].some((place) => errorsAt(place).length);
  const save = async (event) => {
    event.preventDefault();
    const found = faults(form);
    if (found.length) { setError({ errors: found }); return; }
    setBusy(true);
    const wanted = name ?? form.name.trim();
    try {
      if (!name && await isTaken(wanted)) {
        setError({ errors: [{ pointer: '/name', message: 'The catalogue has an event type of this name already: edit that one.' }] });
        setBusy(false);
        return;
      }
      await api.put(`/v1/event-types/${part(wanted)}`, textOf(form), { raw: true });
      setSaved(true);
      toast(`${wanted} is described.`);
      go('event-types', wanted);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <form onSubmit=${save}>
      <${Card}>
        <div class="columns">
          ${!name && html`<${Field} label="Name" hint="Words with dots between them: invoice.paid" error=${wrong('/name')}>${(a) => html`
            <${Input} ...${a} required value=${form.name} onValue=${(text) => set({ name: text })} />`}<//>`}
          <${Field} label="Group" optional hint="What it is listed under." error=${wrong('/group')}>${(a) => html`
            <${Input} ...${a} value=${form.group} list="type-groups" onValue=${(group) => set({ group })} />
            <datalist id="type-groups">${[...new Set(groups.map((type) => type.group).filter(Boolean))].map((group) => html`<option key=${group} value=${group} />`)}</datalist>`}<//>
        </div>
        <${Field} label="Description" optional hint="When it is sent." error=${wrong('/description')}>${(a) => html`
          <textarea ...${a} rows="3" class="prose" value=${form.description} onInput=${(e) => set({ description: e.target.value })}></textarea>`}<//>
        <p><${Check} on=${form.deprecated} onChange=${(deprecated) => set({ deprecated })} label="Deprecated: still taken on, with a warning" /></p>
      <//>
      <${Card} title="Samples">
        ${form.samples.map((sample, at) => html`
          <div key=${at}><${Field} label=${`Sample ${at + 1}`} error=${wrong(`/samples/${at}`)}>${(a) => html`
            <${Area} ...${a} rows=${Math.min(20, Math.max(4, sample.split('\n').length))} value=${sample} onValue=${(text) => setSample(at, text)} />`}<//>
          <p class="row end"><${Button} kind="quiet" onClick=${() => set({ samples: form.samples.filter((_, place) => place !== at) })}>Remove sample ${at + 1}<//></p></div>`)}
        ${form.samples.length < SAMPLES_MOST && html`<${Button} icon="plus" onClick=${() => set({ samples: [...form.samples, '{}'] })}>Add a sample<//>`}
      <//>
      <${Card} title="Schema">
        <${Field} label="JSON Schema of the payload" optional hint="It refers to its own parts alone: nothing is fetched." error=${wrong('/schema')}>${(a) => html`
          <${Area} ...${a} rows=${10} value=${form.schema} onValue=${(schema) => set({ schema })} />`}<//>
        <p><${Check} on=${form.check} onChange=${(check) => set({ check })} label="Refuse events whose payload the schema refuses" /></p>
        ${wrong('/check') && html`<p class="error">${wrong('/check')}</p>`}
      <//>
      ${error && !shown && html`<${Problem} error=${error} />`}
      ${shown && html`<p class="error" role="alert">It is not saved: see what is wrong above.</p>`}
      <footer><a class="button" href=${name ? link('event-types', name) : link('event-types')}>Leave it</a>
        <${Button} kind="primary" type="submit" busy=${busy}>Save<//></footer>
    </form>`;
}
