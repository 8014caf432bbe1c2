// The head of one event, above its deliveries.

import { html, useContext, useState } from '../../lib/html.js';
import { api, part, useLoad } from '../../lib/api.js';
import { plural } from '../../lib/format.js';
import { link } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Button, ButtonLink, Card, Check, Code, Confirm, Facts, Problem, Time, toast, visible } from '../../lib/ui.js';
import { EndpointField } from './filters.js';
import { useEndpoints } from './names.js';
import { Id } from './one.js';

export function EventHead({ id }) {
  const isAdmin = useContext(Session).role === 'admin';
  const [asked, setAsked] = useState(false);
  const { data, error, reload } = useLoad((signal) => api.get(`/v1/events/${part(id)}`, {}, { signal, keep: ['payload'] }), [id]);
  if (error) return html`<${Problem} error=${error} retry=${reload} />`;
  if (!data) return null;
  const actions = html`
    <${ButtonLink} icon="bench" href=${link('bench', { event: id })}>On the bench<//>
    <${Button} icon="replays" onClick=${() => setAsked(true)}>Replay the event<//>`;
  return html`
    <${Card} title=${`Event ${visible(data.type)}`} actions=${actions}>
      <${Facts} pairs=${[
        ['Event', html`<${Id} id=${data.id} />`],
        ['Type', html`<a href=${link('event-types', data.type)}>${data.type}</a>`],
        isAdmin && ['Tenant', data.tenant],
        ['Producer’s id', data.producer_id && visible(data.producer_id)],
        ['Happened', html`<${Time} at=${data.timestamp} />`],
        ['Accepted', html`<${Time} at=${data.accepted_at} />`],
        ['Channels', data.channels.length > 0 && visible(data.channels.join(', '))],
      ]} />
      <h3 class="above">Payload</h3>
      <${Code} text=${data.payload} label="Payload of the event" />
      ${asked && html`<${ReplayEvent} event=${data} onClose=${() => setAsked(false)} />`}
    <//>`;
}

const SKIPPED = {
  pending: 'is being delivered as it is', endpoint_deleted: 'has no endpoint any more', event_full: 'would be one too many of this event',
  replayed: 'was replayed already', forgotten: 'is past its retention',
};

function ReplayEvent({ event, onClose }) {
  const { list } = useEndpoints();
  const [endpoint, setEndpoint] = useState('');
  const [newId, setNewId] = useState(false);
  const replay = async () => {
    const { deliveries, skipped } = await api.post(`/v1/events/${part(event.id)}/replay`, { endpoint: endpoint || undefined, new_id: newId || undefined });
    const why = [...new Set(skipped.map(({ reason }) => SKIPPED[reason] ?? reason))].join('; ');
    toast(`${plural(deliveries.length, 'delivery was', 'deliveries were')} made.${skipped.length ? ` Left out: ${plural(skipped.length, 'delivery', 'deliveries')} (${why}).` : ''}`,
      deliveries.length ? 'good' : 'bad');
  };
  return html`
    <${Confirm} title="Deliver the event again?" verb="Replay" danger=${false} act=${replay} onClose=${onClose}>
      <p>Each of its finished deliveries is made anew, through the chains of now. What is pending is left alone.</p>
      <${EndpointField} value=${endpoint} onValue=${setEndpoint} any="all that got it" endpoints=${list.filter((one) => one.tenant === event.tenant)} />
      <p><${Check} on=${newId} onChange=${setNewId} label="Under new webhook-ids: receivers take them for new messages" /></p>
    <//>`;
}
