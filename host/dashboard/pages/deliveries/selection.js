// What a replay takes, in words; and the dialog that starts one.

import { html, useContext, useState } from '../../lib/html.js';
import { api } from '../../lib/api.js';
import { utc, time } from '../../lib/format.js';
import { go } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Button, Check, Dialog, Field, Problem, Select, visible } from '../../lib/ui.js';
import { EndpointField, Moment, TenantField, TypeField, useEventTypes, useTenants } from './filters.js';
import { useEndpoints } from './names.js';

const moment = (at) => html`<time datetime=${at} title=${utc(at)}>${time(at)}</time>`;

export function Selected({ selection, nameOf }) {
  const { tenant, endpoint, state, type, since, until, missing } = selection;
  const name = endpoint && (nameOf(endpoint) ?? endpoint);
  return html`<span>
    ${missing ? 'Events that the endpoint wants and never got' : `${state ? state[0].toUpperCase() + state.slice(1) : 'All finished'} deliveries`}
    ${name && html` to <strong>${visible(name)}</strong>`}
    ${type && html` of <strong>${visible(type)}</strong>`}
    ${tenant && !endpoint && html` of the tenant <strong>${visible(tenant)}</strong>`}
    ${since && html`, since ${moment(since)}`}${until && html`, before ${moment(until)}`}</span>`;
}

const PLACES = ['/endpoint', '/state', '/type', '/since', '/until', '/tenant'];

/** `from`: what the list was filtered by. */
export function ReplayDialog({ from = {}, onClose }) {
  const isAdmin = useContext(Session).role === 'admin';
  const { list } = useEndpoints();
  const types = useEventTypes();
  const tenants = useTenants(isAdmin);
  const [kind, setKind] = useState(from.missing ? 'missing' : from.state && from.state !== 'pending' ? from.state : '');
  const [chosen, setChosen] = useState({
    endpoint: from.endpoint, type: from.type, tenant: from.tenant, since: from.since, until: from.until,
  });
  const [newId, setNewId] = useState(false);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (member) => (value) => setChosen((old) => ({ ...old, [member]: value || undefined }));
  const wrong = (pointer) => error?.errors?.find((one) => one.pointer === pointer)?.message;
  const rest = error && (!error.errors?.length || error.errors.some((one) => !PLACES.includes(one.pointer)));
  const begin = async (event) => {
    event.preventDefault();
    setBusy(true);
    const state = kind && kind !== 'missing' ? kind : undefined;
    try {
      const job = await api.post('/v1/replays', { ...chosen, state, missing: kind === 'missing' || undefined, new_id: newId || undefined });
      go('replays', job.id);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title="Deliver again" onClose=${onClose}>
      <form onSubmit=${begin}>
        <p>All that fits is delivered again in the background, newest first, through the chains of now. Of deliveries that were
          replayed before, the latest stands for the line; what is pending is left alone.</p>
        <${Field} label="What" error=${wrong('/state')}>${(a) => html`<${Select} ...${a} value=${kind} onValue=${setKind} options=${[
          ['', 'all finished deliveries'], ['failed', 'failed deliveries'], ['delivered', 'delivered ones'], ['filtered', 'filtered ones'],
          ['cancelled', 'cancelled ones'], ['missing', 'events that an endpoint wants and never got'],
        ]} />`}<//>
        <div class="columns">
          ${isAdmin && html`<${TenantField} value=${chosen.tenant} tenants=${tenants} live onTaken=${set('tenant')} error=${wrong('/tenant')} />`}
          <${EndpointField} value=${chosen.endpoint} onValue=${set('endpoint')} error=${wrong('/endpoint')} any=${kind === 'missing' ? 'choose one' : 'any'}
            endpoints=${chosen.tenant ? list.filter((endpoint) => endpoint.tenant === chosen.tenant) : list} />
          <${TypeField} value=${chosen.type} types=${types} live onTaken=${set('type')} error=${wrong('/type')} />
          <${Moment} label="Events since" value=${chosen.since} onValue=${set('since')} error=${wrong('/since')} />
          <${Moment} label="Events before" value=${chosen.until} onValue=${set('until')} error=${wrong('/until')} />
        </div>
        <p><${Check} on=${newId} onChange=${setNewId} label="Each under a webhook-id of its own, so that receivers take it for a new message" /></p>
        ${rest && html`<${Problem} error=${error} />`}
        <footer><${Button} onClick=${onClose}>Keep as it is<//><${Button} kind="primary" type="submit" busy=${busy}>Deliver again<//></footer>
      </form>
    <//>`;
}
