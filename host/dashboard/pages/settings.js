// Keys and settings: `#/settings/keys`, `#/settings/tenants`, `#/settings/tenants/acme`, `#/settings/host`, `#/settings/versions`.

import { html, useContext } from '../lib/html.js';
import { link } from '../lib/route.js';
import { Session } from '../lib/session.js';
import { Empty, Page } from '../lib/ui.js';
import { HostSettings } from './settings/host.js';
import { Keys } from './settings/keys.js';
import { Tenant } from './settings/tenant.js';
import { Tenants } from './settings/tenants.js';
import { Versions } from './settings/versions.js';

const TABS = [['keys', 'Keys', Keys], ['tenants', 'Tenants', Tenants], ['host', 'Host', HostSettings], ['versions', 'Versions', Versions]];

export default function Settings({ parts: [word = 'keys', id], query }) {
  if (useContext(Session).role !== 'admin') {
    return html`<${Page} title="Keys and settings"><${Empty} title="These are for administrators">Ask the one who runs this server.<//><//>`;
  }
  if (word === 'tenants' && id) return html`<${Tenant} id=${id} key=${id} />`;
  const [, , Shown] = TABS.find(([name]) => name === word) ?? TABS[0];
  return html`
    <${Page} title="Keys and settings">
      <div class="tabs" role="navigation" aria-label="Settings">${TABS.map(([name, text, tab]) => html`
        <a key=${name} href=${link('settings', name)} aria-current=${tab === Shown ? 'page' : undefined}>${text}</a>`)}</div>
      <${Shown} query=${query} />
    <//>`;
}
