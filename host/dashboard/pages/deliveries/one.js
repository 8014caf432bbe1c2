// One delivery, with every attempt.

import { html, useContext, useEffect, useState } from '../../lib/html.js';
import { api, part, useLoad } from '../../lib/api.js';
import { number, plural } from '../../lib/format.js';
import { go, link } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import {
  Button, ButtonLink, Card, Check, Code, Confirm, Copy, Facts, Page, Problem, Spinner, Time, attempt as tried, prose, toast, visible,
} from '../../lib/ui.js';
import { Attempt } from './attempt.js';
import { EndpointName, State } from './list.js';
import { useNames } from './names.js';

const PENDING_EVERY_MS = 2_000;

export function OneDelivery({ id }) {
  const { data, error, reload, set } = useLoad((signal) => api.get(`/v1/deliveries/${part(id)}`, {}, { signal }), [id]);
  const pending = data?.state === 'pending';
  useEffect(() => {
    if (!pending) return undefined;
    const timer = setInterval(() => { if (!document.hidden) reload(); }, PENDING_EVERY_MS);
    return () => clearInterval(timer);
  }, [pending, reload]);
  const title = data ? data.type : 'Delivery';
  return html`
    <${Page} title=${title} back=${{ href: link('deliveries'), text: 'Deliveries' }}
      actions=${data && html`<${Actions} delivery=${data} onChanged=${(now) => { set({ ...data, ...now }); reload(); }} />`}>
      ${error && html`<${Problem} error=${error} retry=${reload} />`}
      ${!data && !error && html`<${Spinner} />`}
      ${data && html`<${Shown} delivery=${data} />`}
    <//>`;
}

function Actions({ delivery, onChanged }) {
  const [asked, setAsked] = useState(null);
  const [newId, setNewId] = useState(false);
  const steer = (verb, body) => api.post(`/v1/deliveries/${part(delivery.id)}/${verb}`, body);
  const now = async () => {
    const changed = await tried(() => steer('retry', {}), 'It is due now.');
    if (changed) onChanged(changed);
  };
  const again = async () => {
    const made = await steer('retry', newId ? { new_id: true } : {});
    toast('A new delivery was made.');
    if (made.id !== delivery.id) go('deliveries', made.id);
    else onChanged(made);
  };
  const close = () => setAsked(null);
  return html`
    ${delivery.state === 'pending' ? html`
      <${Button} kind="primary" icon="replays" onClick=${now}>Retry now<//>
      <${Button} kind="danger" onClick=${() => setAsked('cancel')}>Cancel<//>` : html`
      <${Button} kind="primary" icon="replays" onClick=${() => setAsked('replay')}>Replay<//>`}
    ${asked === 'cancel' && html`
      <${Confirm} title="Give this delivery up?" verb="Cancel the delivery" onClose=${close} act=${async () => onChanged(await steer('cancel'))}>
        <p>It is attempted no more. It can be replayed later.</p><//>`}
    ${asked === 'replay' && html`
      <${Confirm} title="Deliver it again?" verb="Replay" danger=${false} onClose=${close} act=${again}>
        <p>A new delivery is made of the same event, through the chain that the endpoint has now. It carries the same webhook-id,
          so that a receiver that has it already can tell.</p>
        <p><${Check} on=${newId} onChange=${setNewId} label="Under a new webhook-id: the receiver takes it for a new message" /></p><//>`}`;
}

export const Id = ({ id, href }) => html`<span class="id">${href ? html`<a class="mono" href=${href}>${id}</a>` : html`<span class="mono">${id}</span>`}<${Copy} text=${id} label=${html`<span class="hidden">Copy ${id}</span>`} /></span>`;

function Shown({ delivery }) {
  const isAdmin = useContext(Session).role === 'admin';
  const nameOf = useNames([delivery.endpoint]);
  const attempts = [...delivery.attempt_log].reverse();
  const last = attempts[0];
  const { state, reason, due_at: due } = delivery;
  return html`
    <${Card}>
      <p class="row"><${State} delivery=${delivery} />
        ${state === 'pending' && !delivery.held && due && html`<span>The next attempt is due <${Time} at=${due} relative />.</span>`}</p>
      ${reason && html`<p class="strong">${visible(reason)}</p>`}
      ${state !== 'delivered' && last?.hint && html`<p class="note">${prose(last.hint)}</p>`}
      <${Facts} pairs=${[
        ['Endpoint', html`<${EndpointName} id=${delivery.endpoint} name=${nameOf(delivery.endpoint)} />`],
        isAdmin && ['Tenant', delivery.tenant],
        ['Created', html`<${Time} at=${delivery.created_at} />`],
        ['Delivered', delivery.delivered_at && html`<${Time} at=${delivery.delivered_at} />`],
        ['Ended', !delivery.delivered_at && delivery.finished_at && html`<${Time} at=${delivery.finished_at} />`],
        ['Attempts', number(delivery.attempts)],
        ['Delivery', html`<${Id} id=${delivery.id} />`],
        ['Event', html`<${Id} id=${delivery.event} href=${link('deliveries', { event: delivery.event })} />`],
        ['webhook-id', html`<${Id} id=${delivery.webhook_id} href=${link('deliveries', { webhook_id: delivery.webhook_id })} />`],
        ['Replay of', delivery.replay_of && html`<${Id} id=${delivery.replay_of} href=${link('deliveries', delivery.replay_of)} />`],
      ]} />
    <//>
    <${Payload} event=${delivery.event} endpoint=${delivery.endpoint} />
    <div class="row between attempts-head"><h2>Attempts</h2>
      ${delivery.attempts > attempts.length && html`<p class="hint">The latest ${plural(attempts.length, 'attempt')} of ${number(delivery.attempts)} ${attempts.length === 1 ? 'is' : 'are'} kept.</p>`}</div>
    ${attempts.length === 0 && html`<p class="faint">There was none yet.</p>`}
    ${attempts.map((attempt, at) => html`<${Attempt} key=${attempt.number} attempt=${attempt} open=${at === 0} told=${at === 0 && attempt.reason === reason} />`)}`;
}

function Payload({ event, endpoint }) {
  const { data, error } = useLoad((signal) => api.get(`/v1/events/${part(event)}`, {}, { signal, keep: ['payload'] }), [event]);
  return html`
    <${Card} title="Payload of the event" actions=${html`<${ButtonLink} icon="bench" href=${link('bench', { event, endpoint })}>On the bench<//>`}>
      ${error && html`<${Problem} error=${error} />`}
      ${data && html`<${Code} text=${data.payload} label="Payload of the event" />`}
    <//>`;
}
