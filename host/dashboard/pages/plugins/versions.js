// The versions of a plugin, and which was active when.

import { html, useEffect, useState } from '../../lib/html.js';
import { api, part } from '../../lib/api.js';
import { bytes, number } from '../../lib/format.js';
import { Badge, Button, Card, Confirm, Table, Time, toast, visible } from '../../lib/ui.js';
import { CAUSES, SOURCES, digits } from './words.js';

export function Versions({ name, versions: { items, history }, onChanged }) {
  const [asked, setAsked] = useState(null);
  const path = `/v1/plugins/${part(name)}`;
  const activate = async ({ digest }) => {
    const now = await api.post(`${path}/activate`, { digest });
    toast(`${now.name} ${now.version} is active.`);
    onChanged();
  };
  const remove = async ({ digest, version }) => {
    await api.delete(`${path}/versions/${part(digest)}`);
    toast(`Version ${version} was removed.`);
    onChanged();
  };
  const label = (version) => `${version.version} (${digits(version.digest)})`;
  const columns = [
    { head: 'Version', cell: (version) => html`<span class="named"><span class="strong">${visible(version.version)}</span>${version.active && html`<${Badge} state="active" />`}</span>` },
    { head: 'Digest', cell: (version) => html`<code title=${version.digest}>${digits(version.digest)}</code>` },
    { head: 'Source', cell: (version) => html`${SOURCES[version.source] ?? version.source}${version.signed && ', signed'}` },
    { head: 'Size', class: 'number', cell: (version) => bytes(version.size) },
    { head: 'Added', cell: (version) => html`<${Time} at=${version.added_at} />` },
    { head: 'Pinned by', class: 'number', cell: (version) => number(version.pins) },
    { head: 'Actions', quiet: true, class: 'tight', cell: (version) => !version.active && html`<span class="actions">
        <${Button} kind="quiet" aria-label=${`Backtest ${label(version)}`} onClick=${() => setAsked({ verb: 'backtest', version })}>Backtest<//>
        <${Button} aria-label=${`Activate ${label(version)}`} onClick=${() => setAsked({ verb: 'activate', version })}>Activate<//>
        ${version.source === 'upload' && html`<${Button} kind="danger" aria-label=${`Remove ${label(version)}`} onClick=${() => setAsked({ verb: 'remove', version })}>Remove<//>`}</span>` },
  ];
  const named = (digest) => items.find((one) => one.digest === digest)?.version;
  return html`
    <${Card} title="Versions">
      <${Table} caption="Versions, the latest first" rows=${items} id=${(version) => version.digest} columns=${columns} class="cards" />
    <//>
    <${Card} title="What was active when">
      <ol class="turns">${history.map((turn, at) => html`<li key=${at}>
        <${Time} at=${turn.at} /> ${turn.digest ? html`<strong>${visible(named(turn.digest) ?? 'a version that is gone')}</strong> <code title=${turn.digest}>${digits(turn.digest)}</code>` : html`<strong>nothing</strong>`}
        <span class="faint"> because ${CAUSES[turn.cause] ?? turn.cause}</span></li>`)}</ol>
    <//>
    ${asked?.verb === 'backtest' && html`<${Backtest} plugin=${name} digest=${asked.version.digest} onClose=${() => setAsked(null)} />`}
    ${asked?.verb === 'activate' && html`<${Confirm} title=${`Activate ${label(asked.version)}?`} verb="Activate" danger=${false} act=${() => activate(asked.version)} onClose=${() => setAsked(null)}>
      <p>It is checked as an upload is: its examples, and every chain that follows the name. The next attempts take it.</p><//>`}
    ${asked?.verb === 'remove' && html`<${Confirm} title=${`Remove ${label(asked.version)}?`} verb="Remove" act=${() => remove(asked.version)} onClose=${() => setAsked(null)}>
      <p>It can be uploaded again, and not rolled back to any more.</p><//>`}`;
}

/** The bench's own dialog, fetched when somebody wants it. */
function Backtest(rest) {
  const [dialog, setDialog] = useState(null);
  useEffect(() => { import('../bench/backtest.js').then((module) => setDialog(() => module.BacktestDialog)); }, []);
  return dialog && html`<${dialog} ...${rest} />`;
}
