// Deliveries and events: `#/deliveries`, `#/deliveries/dlv_...`, `#/deliveries/events`.

import { html, useContext, useState } from '../lib/html.js';
import { link } from '../lib/route.js';
import { Session } from '../lib/session.js';
import { Button, Page } from '../lib/ui.js';
import { EventList } from './deliveries/events.js';
import { DeliveryList } from './deliveries/list.js';
import { OneDelivery } from './deliveries/one.js';
import { PostEvent } from './deliveries/post.js';
import { ReplayDialog } from './deliveries/selection.js';

export default function Deliveries({ parts: [part], query }) {
  if (part && part !== 'events') return html`<${OneDelivery} id=${part} key=${part} />`;
  return html`<${Lists} events=${part === 'events'} query=${query} />`;
}

function Lists({ events, query }) {
  const isAdmin = useContext(Session).role === 'admin';
  const [dialog, setDialog] = useState(null);
  const { tenant, type, since, until } = query;
  const actions = isAdmin && html`<${Button} kind="primary" icon="plus" onClick=${() => setDialog('post')}>Post an event<//>`;
  return html`
    <${Page} title=${events ? 'Events' : 'Deliveries'} actions=${actions} wide>
      <div class="tabs" role="navigation" aria-label="Deliveries and events">
        <a href=${link('deliveries', { tenant, type, since, until })} aria-current=${events ? undefined : 'page'}>Deliveries</a>
        <a href=${link('deliveries', 'events', { tenant, type, since, until })} aria-current=${events ? 'page' : undefined}>Events</a>
      </div>
      ${events ? html`<${EventList} query=${query} />` : html`<${DeliveryList} query=${query} onReplay=${() => setDialog('replay')} />`}
      ${dialog === 'post' && html`<${PostEvent} type=${type} onClose=${() => setDialog(null)} />`}
      ${dialog === 'replay' && html`<${ReplayDialog} from=${query} onClose=${() => setDialog(null)} />`}
    <//>`;
}
