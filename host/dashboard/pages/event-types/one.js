// One event type.

import { html, useContext, useState } from '../../lib/html.js';
import { api, part, useLoad } from '../../lib/api.js';
import { number } from '../../lib/format.js';
import { elements } from '../../lib/json.js';
import { go, link } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Badge, Button, ButtonLink, Card, Code, Confirm, Facts, Page, Problem, Spinner, Stat, Time, toast, visible } from '../../lib/ui.js';
import { Schema } from '../plugins/schema.js';
import { useVolume } from './volume.js';

export function OneType({ name }) {
  const isAdmin = useContext(Session).role === 'admin';
  const path = `/v1/event-types/${part(name)}`;
  const { data, error, reload } = useLoad((signal) => api.get(path, {}, { signal, keep: ['samples', 'schema'] }), [path]);
  const volume = useVolume();
  const [asked, setAsked] = useState(false);
  const remove = async () => {
    await api.delete(path);
    toast(`${name} is not in the catalogue any more.`);
    go('event-types');
  };
  const actions = data && html`
    <${ButtonLink} icon="bench" href=${link('bench', { type: name })}>On the bench<//>
    ${isAdmin && html`<${ButtonLink} href=${link('event-types', name, 'edit')}>Edit<//><${Button} kind="danger" onClick=${() => setAsked(true)}>Delete<//>`}`;
  return html`
    <${Page} title=${name} back=${{ href: link('event-types'), text: 'Event types' }} actions=${actions}>
      <${Problem} error=${error} retry=${reload} />
      ${!data && !error && html`<${Spinner} />`}
      ${data && html`<${Shown} type=${data} volume=${volume.of(name)} />`}
      ${asked && html`<${Confirm} title=${`Take ${name} out of the catalogue?`} verb="Delete" act=${remove} onClose=${() => setAsked(false)}>
        <p>Description, samples and schema are lost. Its events, and the endpoints that want them, stay as they are.</p><//>`}
    <//>`;
}

function Shown({ type, volume }) {
  const samples = elements(type.samples) ?? [];
  return html`
    <${Card}>
      ${type.deprecated && html`<p><${Badge} state="deprecated" /> ${type.deprecated_since && html`since <${Time} at=${type.deprecated_since} />.`} It is still taken on, with a warning.</p>`}
      <p>${type.description ? visible(type.description) : html`<span class="faint">Nobody has said when it is sent.</span>`}</p>
      <${Facts} pairs=${[
        ['Group', visible(type.group)],
        ['Payloads', type.check ? 'held to the schema: others are refused' : 'not checked'],
        ['Versions', visible(type.versions.join(', '))],
        ['Events', html`<a href=${link('deliveries', 'events', { type: type.name })}>See them</a>`],
        ['Changed', html`<${Time} at=${type.updated_at} />`],
      ]} />
    <//>
    ${volume && html`<dl class="stats">
      <${Stat} label="Events in 7 days" value=${number(volume.events)} />
      <${Stat} label="Delivered" value=${number(volume.delivered)} />
      <${Stat} label="Failed" tone=${volume.failed ? 'bad' : ''} value=${number(volume.failed)} /></dl>`}
    <${Card} title="Samples">
      ${samples.length === 0 && html`<p class="faint">There is none: with one, the bench and test events have something to work with.</p>`}
      ${samples.map((sample, at) => html`<div key=${at}>${samples.length > 1 && html`<h3>Sample ${at + 1}</h3>`}<${Code} text=${sample} label=${`Sample ${at + 1}`} /></div>`)}
    <//>
    <${Card} title="Schema"><${Schema} text=${type.schema} /><//>`;
}
