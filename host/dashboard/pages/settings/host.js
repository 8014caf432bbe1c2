// The host: its switch, what holds for all endpoints, a backup.

import { html, useContext, useState } from '../../lib/html.js';
import { api, useLoad } from '../../lib/api.js';
import { useUnsaved } from '../../lib/route.js';
import { Session } from '../../lib/session.js';
import { Button, Card, Facts, Problem, Spinner, toast } from '../../lib/ui.js';
import { Offline } from './offline.js';
import { PLACES, TermsForm, changes, faults, formOf, wrongIn } from './terms.js';

export function HostSettings() {
  const session = useContext(Session);
  const { data, error, reload, set } = useLoad((signal) => api.get('/v1/host', {}, { signal, keep: ['transforms'] }), []);
  const [saves, setSaves] = useState(0);
  const change = async (patch, options) => {
    set(await api.patch('/v1/host', patch, { keep: ['transforms'], ...options }));
    toast('Saved.');
    session.refresh();
  };
  // The switch alone leaves what is typed into the form below it.
  const save = async (...said) => {
    await change(...said);
    setSaves((count) => count + 1);
  };
  return html`
    <${Problem} error=${error} retry=${reload} />
    ${!data && !error && html`<${Spinner} />`}
    ${data && html`<${Offline} state=${data} whose="of this host" change=${change} />`}
    <div class="grid">
      <${Card} title="This server"><${Facts} pairs=${[
        ['Version', session.version],
        ['Interface', html`<a href="/docs">for people</a>, <a href="/openapi.json">OpenAPI</a>`],
        ['Metrics', html`<a href="/metrics">Prometheus</a>`],
      ]} /><//>
      <${Backup} />
    </div>
    ${data && html`<${Form} key=${saves} data=${data} change=${save} />`}`;
}

function Form({ data, change }) {
  const [start] = useState(() => formOf(data));
  const [form, setForm] = useState(start);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const dirty = JSON.stringify(form) !== JSON.stringify(start);
  useUnsaved(dirty);
  const wrong = wrongIn(dirty ? error : null);
  const save = async (event) => {
    event.preventDefault();
    const found = faults(form);
    if (found.length) { setError({ errors: found }); return; }
    setBusy(true);
    setError(null);
    try {
      await change(`{${changes(start, form).join(',')}}`, { raw: true });
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <form onSubmit=${save}>
      <${TermsForm} form=${form} onForm=${setForm} wrong=${wrong} />
      ${error && dirty && (PLACES.some(wrong) ? html`<p class="error" role="alert">It is not saved: see what is wrong above.</p>` : html`<${Problem} error=${error} />`)}
      <footer class="sticky-foot">${dirty && html`<${Button} onClick=${() => setForm(start)}>Undo changes<//>`}
        <${Button} kind="primary" type="submit" busy=${busy} disabled=${!dirty}>Save<//></footer>
    </form>`;
}

/** The browser writes what comes to a file of its own; nothing of it is parsed here. */
async function takeBackup() {
  const response = await fetch('/v1/backup', { method: 'POST', credentials: 'same-origin' });
  if (!response.ok) {
    const problem = await response.json().catch(() => null);
    throw new Error(problem?.detail ?? `The server answered with ${response.status}.`);
  }
  const address = URL.createObjectURL(await response.blob());
  const name = `hookwright-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.backup`;
  Object.assign(document.createElement('a'), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function Backup() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const take = async () => {
    setBusy(true);
    setError(null);
    try {
      await takeBackup();
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  return html`
    <${Card} title="Backup" actions=${html`<${Button} icon="down" busy=${busy} onClick=${take}>Download a backup<//>`}>
      <p>The store as of one moment, while the server goes on. The sealing key is not in it: keep a copy of that elsewhere.</p>
      <${Problem} error=${error} />
    <//>`;
}
