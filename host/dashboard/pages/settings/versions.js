// The versions of payloads' shapes.

import { html, useState } from '../../lib/html.js';
import { api, useLoad } from '../../lib/api.js';
import { plural } from '../../lib/format.js';
import { fault, pretty } from '../../lib/json.js';
import { link, useUnsaved } from '../../lib/route.js';
import { Area, Button, Card, Empty, Field, Problem, Spinner, Table, Time, toast, visible } from '../../lib/ui.js';
import { wrongIn } from './terms.js';

export function Versions() {
  const { data, error, reload, set } = useLoad((signal) => api.get('/v1/versions', {}, { signal, keep: ['versions'] }), []);
  const [editing, setEditing] = useState(false);
  if (!data) return error ? html`<${Problem} error=${error} retry=${reload} />` : html`<${Spinner} />`;
  const saved = (now) => {
    set(now);
    setEditing(false);
  };
  return html`
    <${Card} title="Versions of the payloads’ shapes" actions=${!editing && html`<${Button} onClick=${() => setEditing(true)}>Edit<//>`}>
      <p>Oldest to newest. An endpoint that is pinned to one gets what is posted in the newest shape through the steps back to its own.
        ${data.updated_at && html` Changed <${Time} at=${data.updated_at} />.`}</p>
      ${editing ? html`<${Edit} text=${data.versions} onSaved=${saved} onClose=${() => setEditing(false)} />` : html`<${Shown} versions=${JSON.parse(data.versions)} />`}
    <//>`;
}

const Shown = ({ versions }) => html`
  <${Table} caption="Versions, oldest to newest" rows=${versions} id=${(version) => version.name} class="cards" columns=${[
    { head: 'Version', cell: (version) => html`<strong>${version.name}</strong>` },
    { head: 'Description', cell: (version) => visible(version.description) },
    { head: 'Steps back', cell: (version) => (version.steps?.length ? html`<ul class="version-steps">${version.steps.map((step, at) => html`
      <li key=${at}><a href=${link('plugins', step.plugin.split('@')[0])}>${visible(step.plugin)}</a> <span class="faint">for ${visible(step.events.join(', '))}</span></li>`)}</ul>` : html`<span class="faint">none</span>`) },
  ]} empty=${html`<${Empty} title="There are no versions yet">Name one before the shape of a payload changes, and pin endpoints to it.<//>`} />`;

const EXAMPLE = '[\n  {"name": "2026-01", "description": "", "steps": []}\n]';

function Edit({ text: before, onSaved, onClose }) {
  const start = before === '[]' ? EXAMPLE : pretty(before);
  const [text, setText] = useState(start);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  useUnsaved(text !== start);
  const save = async (event) => {
    event.preventDefault();
    const broken = fault(text);
    if (broken) { setError({ errors: [{ pointer: '/versions', message: broken }] }); return; }
    setBusy(true);
    try {
      const now = await api.put('/v1/versions', `{"versions":${text}}`, { raw: true, keep: ['versions'] });
      toast(`Saved: ${plural(JSON.parse(now.versions).length, 'version')}.`);
      onSaved(now);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const wrong = wrongIn(error)('/versions');
  return html`
    <form onSubmit=${save}>
      <${Field} label="Versions" error=${wrong} hint="JSON, with steps as an endpoint’s transforms and the events that each is for. What is masked stays as it is stored.">${(a) => html`
        <${Area} ...${a} rows=${18} value=${text} onValue=${setText} />`}<//>
      ${error && !wrong && html`<${Problem} error=${error} />`}
      <footer><${Button} onClick=${() => { if (text === start || confirm('Throw away what you changed?')) onClose(); }}>Leave it<//>
        <${Button} kind="primary" type="submit" busy=${busy}>Save<//></footer>
    </form>`;
}
