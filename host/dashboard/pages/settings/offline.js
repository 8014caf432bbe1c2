// The switch that holds all deliveries back, of the host or of a tenant.

import { html, useState } from '../../lib/html.js';
import { Badge, Button, Card, Confirm, Time } from '../../lib/ui.js';

/** `change(patch)` is awaited. */
export function Offline({ state: { offline, offline_since: since }, whose, change }) {
  const [asked, setAsked] = useState(false);
  const [waiting, setWaiting] = useState('deliver');
  const act = () => change(offline ? { offline: false, waiting } : { offline: true });
  const choice = (word, text) => html`
    <p><label class="check"><input type="radio" name="waiting" value=${word} checked=${waiting === word} onChange=${() => setWaiting(word)} />${text}</label></p>`;
  return html`
    <${Card} title="Offline" actions=${html`<${Button} kind=${offline ? 'primary' : 'danger'} onClick=${() => setAsked(true)}>${offline ? 'Go online' : 'Go offline'}<//>`}>
      <p>${offline ? html`<${Badge} state="offline" /> since <${Time} at=${since} />. Events are taken on, and nothing ${whose} is delivered.`
    : html`<${Badge} state="active">online<//> Deliveries go out. While it is offline, events are taken on, and nothing ${whose} is delivered.`}</p>
      ${asked && html`
        <${Confirm} title=${offline ? 'Go online?' : 'Go offline?'} verb=${offline ? 'Go online' : 'Go offline'} danger=${!offline} act=${act} onClose=${() => setAsked(false)}>
          ${offline ? html`<fieldset><legend>What has waited meanwhile</legend>${choice('deliver', 'is delivered')}${choice('skip', 'is cancelled')}</fieldset>`
    : html`<p>No delivery ${whose} is attempted from now on; what is under way ends. All of it waits.</p>`}<//>`}
    <//>`;
}
