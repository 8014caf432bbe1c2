// The filters above the lists. The address holds them.

import { html, Component, useContext, useEffect, useState } from '../../lib/html.js';
import { all, useLoad } from '../../lib/api.js';
import { go, setQuery } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Button, Field, Input, Select } from '../../lib/ui.js';

export const STATES = ['pending', 'delivered', 'filtered', 'failed', 'cancelled'];

/** RFC 3339 as a field for date and time shows it, in the reader's zone. */
export function toLocal(at) {
  const moment = new Date(at ?? NaN);
  if (Number.isNaN(moment.getTime())) return '';
  const two = (number) => String(number).padStart(2, '0');
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}T${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
}

export function fromLocal(text) {
  const moment = new Date(text);
  return Number.isNaN(moment.getTime()) ? undefined : moment.toISOString();
}

/**
 * Taken when it is left or Enter is pressed, as half a word finds nothing; at once where it is emptied or picked from the list.
 * With `live` at each key, for forms.
 */
export function Typed({ value = '', onTaken, live, ...rest }) {
  const [draft, setDraft] = useState(value);
  useEffect(() => setDraft(value), [value]);
  if (live) return html`<${Input} ...${rest} value=${value} onValue=${onTaken} />`;
  const typed = (event) => {
    const text = event.target.value;
    setDraft(text);
    if (text === '' || !event.inputType || event.inputType === 'insertReplacementText') onTaken(text.trim());
  };
  return html`<input autocomplete="off" spellcheck=${false} ...${rest} value=${draft} onInput=${typed} onChange=${(e) => onTaken(e.target.value.trim())} />`;
}

export const Moment = ({ label, value, onValue, ...rest }) => html`
  <${Field} label=${label} class="moment" ...${rest}>${(a) => html`
    <input ...${a} type="datetime-local" step="1" value=${toLocal(value)} onChange=${(e) => onValue(fromLocal(e.target.value))} />`}<//>`;

const NONE = [];

/** The component, drawn anew only when one of its properties is another. */
export const steady = (drawn) => class extends Component {
  shouldComponentUpdate(next) {
    return [...Object.keys(next), ...Object.keys(this.props)].some((name) => next[name] !== this.props[name]);
  }

  render(props) { return html`<${drawn} ...${props} />`; }
};

/** Event types to choose from, and those that somebody types. */
export function useEventTypes() {
  const { data } = useLoad((signal) => all('/v1/event-types', {}, { signal }), []);
  return data ?? NONE;
}

export function useTenants(wanted = true) {
  const { data } = useLoad((signal) => (wanted ? all('/v1/tenants', {}, { signal }) : NONE), [wanted]);
  return data ?? NONE;
}

export const Names = ({ id, names }) => html`<datalist id=${id}>${names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>`;

export const TypeField = ({ value, onTaken, types, live, label = 'Event type', ...rest }) => html`
  <${Field} label=${label} ...${rest}>${(a) => html`
    <${Typed} ...${a} value=${value} onTaken=${onTaken} live=${live} list="event-types" placeholder="any" /><${Names} id="event-types" names=${types.map((type) => type.name)} />`}<//>`;

export const TenantField = ({ value, onTaken, tenants, live, ...rest }) => html`
  <${Field} label="Tenant" ...${rest}>${(a) => html`
    <${Typed} ...${a} value=${value} onTaken=${onTaken} live=${live} list="tenants" placeholder="all" /><${Names} id="tenants" names=${tenants.map((tenant) => tenant.id)} />`}<//>`;

export const EndpointField = ({ value = '', onValue, endpoints, any = 'any', ...rest }) => {
  const options = endpoints.map((endpoint) => [endpoint.id, endpoint.name]).sort((a, b) => a[1].localeCompare(b[1]));
  const unknown = value && !endpoints.some((endpoint) => endpoint.id === value);
  return html`<${Field} label="Endpoint" ...${rest}>${(a) => html`
    <${Select} ...${a} value=${value} onValue=${onValue} options=${[['', any], ...(unknown ? [[value, value]] : []), ...options]} />`}<//>`;
};

/** By an id of any kind. */
function IdField({ query }) {
  const [error, setError] = useState(null);
  const take = (id) => {
    setError(null);
    if (!id) setQuery({ event: undefined, webhook_id: undefined });
    else if (id.startsWith('dlv_')) go('deliveries', id);
    else if (id.startsWith('evt_')) setQuery({ event: id, webhook_id: undefined });
    else if (id.startsWith('msg_')) setQuery({ webhook_id: id, event: undefined });
    else setError('An id begins with dlv_, evt_ or msg_ (the webhook-id).');
  };
  return html`<${Field} label="Id" error=${error} class="wide">${(a) => html`
    <${Typed} ...${a} value=${query.event ?? query.webhook_id ?? ''} onTaken=${take} placeholder="evt_, msg_ or dlv_" />`}<//>`;
}

export const Filters = steady(({ query, endpoints, types }) => {
  const isAdmin = useContext(Session).role === 'admin';
  const tenants = useTenants(isAdmin);
  const of = query.tenant ? endpoints.filter((endpoint) => endpoint.tenant === query.tenant) : endpoints;
  const { state, endpoint, type, tenant, event, webhook_id: webhook, since, until } = query;
  const any = [state, endpoint, type, tenant, event, webhook, since, until].some(Boolean);
  const clear = () => setQuery(Object.fromEntries(['state', 'endpoint', 'type', 'tenant', 'event', 'webhook_id', 'since', 'until'].map((name) => [name, undefined])));
  return html`
    <div class="filters" role="search" aria-label="Filter deliveries">
      <${Field} label="State">${(a) => html`
        <${Select} ...${a} value=${state ?? ''} onValue=${(word) => setQuery({ state: word })} options=${[['', 'any'], ...STATES.map((word) => [word, word])]} />`}<//>
      <${EndpointField} value=${endpoint} endpoints=${of} onValue=${(id) => setQuery({ endpoint: id })} />
      <${TypeField} value=${type} types=${types} onTaken=${(name) => setQuery({ type: name })} />
      ${isAdmin && html`<${TenantField} value=${tenant} tenants=${tenants} onTaken=${(name) => setQuery({ tenant: name })} />`}
      <${IdField} query=${query} />
      <${Moment} label="Events since" value=${since} onValue=${(at) => setQuery({ since: at })} />
      <${Moment} label="Events before" value=${until} onValue=${(at) => setQuery({ until: at })} />
      ${any && html`<${Button} kind="quiet" onClick=${clear}>Clear filters<//>`}
    </div>`;
});
