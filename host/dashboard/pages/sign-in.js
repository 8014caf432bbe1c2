import { html, useEffect, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { Button, Field, Problem } from '../lib/ui.js';

/** `again`: in a dialog that has said what it is about. */
export default function SignIn({ onSignedIn, embedded, again }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  // A dialog that was open before this came has the focus elsewhere.
  useEffect(() => { field.current?.focus(); }, []);
  const enter = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      onSignedIn(await api.post('/v1/session', { key: key.trim() }));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  if (embedded) {
    return html`<main class="alone"><h1>This view has ended</h1><p>Open it again from where you came: its link is good for a short time only.</p></main>`;
  }
  const fields = html`
    <${Field} label="Key" hint="The server printed the admin key at its first start. A tenant's key opens that tenant alone.">${(a) => html`
      <input ...${a} ref=${field} type="password" autocomplete="current-password" required value=${key} onInput=${(e) => setKey(e.target.value)} />`}<//>
    <${Problem} error=${error} />
    <${Button} kind="primary" type="submit" busy=${busy}>Sign in<//>`;
  if (again) return html`<form onSubmit=${enter}>${fields}</form>`;
  return html`
    <main class="alone">
      <form class="card sign-in" onSubmit=${enter}>
        <img src="/dashboard/icon.svg" alt="" width="40" height="40" />
        <h1>Sign in to Hookwright</h1>
        ${fields}
      </form>
    </main>`;
}
