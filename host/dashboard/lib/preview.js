// How Slack, Teams, Discord and Feishu would show a message, more or less. Recognised by where it goes, by the plugin that made it,
// and by its shape. Drawn with elements and text alone; pictures are named and never fetched.

import { html, useMemo } from './html.js';
import { Boundary } from './ui.js';
import Slack, { fitsSlack, isEmptySlack } from './preview/slack.js';
import Teams, { fitsTeams, isEmptyTeams } from './preview/teams.js';
import Discord, { fitsDiscord, isEmptyDiscord } from './preview/discord.js';
import Feishu, { fitsFeishu, isEmptyFeishu } from './preview/feishu.js';

const SERVICES = {
  slack: { name: 'Slack', hosts: /(^|\.)slack(-gov)?\.com$/, draw: Slack, fits: fitsSlack, isEmpty: isEmptySlack },
  teams: { name: 'Microsoft Teams', hosts: /(^|\.)(webhook\.office\.com|logic\.azure\.com|powerplatform\.com|powerautomate\.com)$/, draw: Teams, fits: fitsTeams, isEmpty: isEmptyTeams },
  discord: { name: 'Discord', hosts: /(^|\.)discord(app)?\.com$/, draw: Discord, fits: fitsDiscord, isEmpty: isEmptyDiscord },
  feishu: { name: 'Feishu', hosts: /(^|\.)(feishu\.cn|larksuite\.com)$/, draw: Feishu, fits: fitsFeishu, isEmpty: isEmptyFeishu },
};
/** The order in which shapes are tried: the plainest last. */
const BY_SHAPE = ['teams', 'feishu', 'discord', 'slack'];
/** Larger messages no service takes. */
const LARGEST = 500_000;

function hostOf(url) {
  try {
    return new URL(url).hostname;
  } catch {
    return '';
  }
}

/** Which service a message is for: `{service, name, body}`; null where none is known. `plugins`: the names of the links that ran. */
export function recognise(text, { url, plugins = [] } = {}) {
  if (!text || text.length > LARGEST) return null;
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  if (!body || typeof body !== 'object' || Array.isArray(body)) return null;
  const host = hostOf(url);
  const service = Object.keys(SERVICES).find((word) => host && SERVICES[word].hosts.test(host))
    ?? plugins.findLast((plugin) => Object.hasOwn(SERVICES, plugin) && !SERVICES[plugin].isEmpty(body))
    ?? BY_SHAPE.find((word) => SERVICES[word].fits(body));
  return service ? { service, name: SERVICES[service].name, body } : null;
}

/** The preview of what `recognise` found. */
export function Preview({ found }) {
  const { draw, name, isEmpty } = SERVICES[found.service];
  const empty = useMemo(() => isEmpty(found.body), [found]);
  return html`
    <figure class="chat chat-${found.service}">
      <figcaption>About as ${name} shows it. Pictures are left out.</figcaption>
      <div class="chat-message">
        <span class="chat-face" aria-hidden="true">H</span>
        <div class="chat-content">
          <p class="chat-from"><strong>Hookwright</strong> <span class="chat-small">app</span></p>
          ${empty ? html`<p class="error">${name} would refuse this: it finds nothing to show in it.</p>`
            : html`<${Boundary} key=${found.service}><${draw} body=${found.body} /><//>`}
        </div>
      </div>
    </figure>`;
}
