// Posting an event by hand.

import { html, useEffect, useState } from '../../lib/html.js';
import { api, part } from '../../lib/api.js';
import { plural } from '../../lib/format.js';
import { elements, fault, pretty } from '../../lib/json.js';
import { go, useUnsaved } from '../../lib/route.js';
import { Area, Button, Dialog, Field, Input, Problem, Select, toast } from '../../lib/ui.js';
import { Names, useEventTypes, useTenants } from './filters.js';

const FIELDS = ['/type', '/tenant', '/payload', '/channels', '/id'];

export function PostEvent({ type: given = '', onClose }) {
  const types = useEventTypes();
  const tenants = useTenants();
  const [type, setType] = useState(given);
  const [tenant, setTenant] = useState('');
  const [channels, setChannels] = useState('');
  const [payload, setPayload] = useState('{}');
  const [touched, setTouched] = useState(false);
  const [samples, setSamples] = useState([]);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  useUnsaved(touched);
  useEffect(() => {
    let gone = false;
    setSamples([]);
    if (!types.some((one) => one.name === type)) return undefined;
    api.get(`/v1/event-types/${part(type)}`, {}, { keep: ['samples'] }).then((full) => {
      if (gone) return;
      const found = elements(full.samples) ?? [];
      setSamples(found);
      if (found.length && !touched) setPayload(pretty(found[0]));
    }).catch(() => {});
    return () => { gone = true; };
  }, [type, types.length]);
  const close = () => { if (!touched || confirm('Throw away what you typed?')) onClose(); };
  const wrong = (pointer) => error?.errors?.find((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`))?.message;
  const rest = error && !error.errors?.some((one) => FIELDS.some((field) => one.pointer.startsWith(field)));
  const post = async (event) => {
    event.preventDefault();
    const broken = fault(payload);
    if (broken) { setError({ errors: [{ pointer: '/payload', message: broken }] }); return; }
    const list = channels.split(',').map((channel) => channel.trim()).filter(Boolean);
    // The payload goes out as it was typed: a number must keep its digits.
    const members = [
      `"type":${JSON.stringify(type)}`, tenant && `"tenant":${JSON.stringify(tenant)}`, list.length && `"channels":${JSON.stringify(list)}`,
      `"payload":${payload}`,
    ].filter(Boolean);
    setBusy(true);
    try {
      const taken = await api.post('/v1/events', `{${members.join(',')}}`, { raw: true });
      toast(`The event was taken on: ${plural(taken.deliveries, 'delivery', 'deliveries')}.${taken.warning ? ` ${taken.warning}` : ''}`);
      setTouched(false);
      onClose();
      go('deliveries', { event: taken.id });
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title="Post an event" onClose=${close} wide>
      <form onSubmit=${post}>
        <div class="columns">
          <${Field} label="Event type" error=${wrong('/type')}>${(a) => html`
            <${Input} ...${a} value=${type} required list="post-types" onValue=${setType} /><${Names} id="post-types" names=${types.map((one) => one.name)} />`}<//>
          <${Field} label="Tenant" optional error=${wrong('/tenant')} hint="Without one: default.">${(a) => html`
            <${Input} ...${a} value=${tenant} list="post-tenants" onValue=${setTenant} /><${Names} id="post-tenants" names=${tenants.map((one) => one.id)} />`}<//>
          <${Field} label="Channels" optional error=${wrong('/channels')} hint="With commas between them.">${(a) => html`<${Input} ...${a} value=${channels} onValue=${setChannels} />`}<//>
        </div>
        ${samples.length > 0 && html`<${Field} label="Sample">${(a) => html`
          <${Select} ...${a} value="" onValue=${(at) => { if (at !== '') { setPayload(pretty(samples[at])); setTouched(true); } }}
            options=${[['', 'choose one to fill the payload'], ...samples.map((sample, at) => [String(at), `Sample ${at + 1}: ${sample.replace(/\s+/g, ' ').slice(0, 60)}`])]} />`}<//>`}
        <${Field} label="Payload" error=${wrong('/payload')} hint="JSON. It is taken as it stands here, digit by digit.">${(a) => html`
          <${Area} ...${a} rows=${14} value=${payload} onValue=${(text) => { setPayload(text); setTouched(true); }} />`}<//>
        ${rest && html`<${Problem} error=${error} />`}
        <footer><${Button} onClick=${close}>Close<//><${Button} kind="primary" type="submit" busy=${busy}>Post it<//></footer>
      </form>
    <//>`;
}
