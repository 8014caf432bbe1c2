import { html, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { Button, Field, Problem } from '../lib/ui.js';

export default function SignIn({ onSignedIn, embedded }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
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
  return html`
    <main class="alone">
      <form class="card sign-in" onSubmit=${enter}>
        <img src="/dashboard/icon.svg" alt="" width="40" height="40" />
        <h1>Sign in to Hookwright</h1>
        <${Field} label="Key" hint="The server printed the admin key at its first start. A tenant's key opens that tenant alone.">${(a) => html`
          <input ...${a} type="password" autocomplete="current-password" autofocus required value=${key} onInput=${(e) => setKey(e.target.value)} />`}<//>
        <${Problem} error=${error} />
        <${Button} kind="primary" type="submit" busy=${busy}>Sign in<//>
      </form>
    </main>`;
}
