// What several views of endpoints have in common: turning one on and off, its new secret, deleting it.

import { html, useState } from '../../lib/html.js';
import { api, part } from '../../lib/api.js';
import { plural, time, visible } from '../../lib/format.js';
import { Badge, Button, Confirm, Copy, Dialog, Field, Input, Problem, Time, Toggle, attempt, download, toast } from '../../lib/ui.js';

/** A type, to be broken after its dots and nowhere else. */
export const dotted = (type) => type.split('.').map((piece, at) => (at === 0 ? piece : html`.<wbr />${piece}`));

export const path = (id, ...rest) => ['/v1/endpoints', part(id), ...rest].join('/');

/** Sentences of the server's, with its moments as readers have them. */
const local = (text) => text?.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, time);

/** Why it is not active, and since when. */
export const reason = (endpoint) => local(endpoint.enabled ? endpoint.failing_because : endpoint.disabled_because);

export const Status = ({ endpoint }) => html`
  <${Badge} state=${endpoint.status} title=${reason(endpoint) ? visible(reason(endpoint)) : undefined} />`;

/** Asks what becomes of deliveries that have waited. */
export function WaitingChoice({ title, waiting, verb, act, onClose }) {
  const [choice, setChoice] = useState('deliver');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const go = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await act(choice);
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form onSubmit=${go}>
        <fieldset class="choices">
          <legend>${waiting ? `${plural(waiting, 'delivery waits', 'deliveries wait')}. What becomes of them?` : 'What becomes of deliveries that have waited?'}</legend>
          <label class="check"><input type="radio" name="waiting" checked=${choice === 'deliver'} onChange=${() => setChoice('deliver')} />Deliver them now</label>
          <label class="check"><input type="radio" name="waiting" checked=${choice === 'skip'} onChange=${() => setChoice('skip')} />Skip them: they are cancelled, and can be delivered again by hand</label>
        </fieldset>
        <${Problem} error=${error} />
        <footer><${Button} onClick=${onClose}>Not yet<//><${Button} kind="primary" type="submit" busy=${busy}>${verb}<//></footer>
      </form>
    <//>`;
}

/** Turns an endpoint on and off. Where something waits for it, turning it on asks what becomes of that. */
export function EnabledToggle({ endpoint, onChange, quiet }) {
  const [asking, setAsking] = useState(null);
  const [busy, setBusy] = useState(false);
  const change = async (members) => {
    const changed = await api.patch(path(endpoint.id), members, { keep: ['config'] });
    toast(changed.enabled ? `“${endpoint.name}” is enabled.` : `“${endpoint.name}” is disabled. Its events wait.`);
    onChange(changed);
  };
  const flip = async (on) => {
    if (busy) return;
    setBusy(true);
    await attempt(async () => {
      if (!on) return change({ enabled: false });
      const { queue } = await api.get(path(endpoint.id, 'stats'), { resolution: 'day' });
      return queue.pending > 0 ? setAsking(queue.pending) : change({ enabled: true });
    });
    setBusy(false);
  };
  return html`
    <${Toggle} on=${endpoint.enabled} quiet=${quiet} aria-busy=${busy ? 'true' : undefined}
      label=${quiet ? `“${visible(endpoint.name)}” is enabled` : 'Enabled'} onChange=${flip} />
    ${asking && html`<${WaitingChoice} title=${`Enable “${visible(endpoint.name)}”?`} waiting=${asking} verb="Enable" onClose=${() => setAsking(null)}
      act=${(waiting) => change({ enabled: true, waiting })} />`}`;
}

/** Shown once, when a secret is made: afterwards nobody can read it. */
export function SecretDialog({ endpoint, title, onClose }) {
  const [kept, setKept] = useState(false);
  const [warned, setWarned] = useState(false);
  const key = endpoint.secrets[0]?.public_key;
  const secret = endpoint.secret;
  const text = secret ?? key ?? '';
  const close = () => (kept || !secret || warned ? onClose() : setWarned(true));
  const file = `${endpoint.name.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-|-$/g, '') || endpoint.id}-${secret ? 'secret' : 'public-key'}.txt`;
  return html`
    <${Dialog} title=${title} onClose=${close}>
      <p>${secret
        ? 'This is the signing secret. Copy or download it now and keep it safe: it is not shown again. With it, the receiver verifies that a request came from here.'
        : 'Requests are signed with a private key that nobody sees. The receiver verifies them with this public key, which stays readable on the endpoint’s page.'}</p>
      <${Field} label=${secret ? 'Signing secret' : 'Public key'}>${(a) => html`
        <${Input} ...${a} class="mono" readonly value=${text} onValue=${() => {}} onFocus=${(e) => e.target.select()} onCopy=${() => setKept(true)} />`}<//>
      <div class="actions">
        <span onClick=${() => setKept(true)}><${Copy} text=${text} label=${secret ? 'Copy the secret' : 'Copy the key'} /></span>
        <${Button} kind="quiet" icon="down" onClick=${() => { download(file, `${text}\n`); setKept(true); }}>Download<//>
      </div>
      ${warned && html`<p class="error" role="alert">You have neither copied nor downloaded it. Once this is closed, all that helps is a new secret. Press again to close all the same.</p>`}
      <footer><${Button} kind="primary" onClick=${close}>${kept || !secret ? 'Done' : 'I have kept it'}<//></footer>
    <//>`;
}

export function DeleteDialog({ endpoint, onDeleted, onClose }) {
  const act = async () => {
    await api.delete(path(endpoint.id));
    toast(`“${endpoint.name}” is deleted.`);
    onDeleted();
  };
  return html`
    <${Confirm} title=${`Delete “${visible(endpoint.name)}”?`} verb="Delete" act=${act} onClose=${onClose}>
      <p>It gets no further event, and what waits for it is cancelled. Its deliveries stay in the log for as long as the log is kept. This cannot be undone.</p>
      <p class="hint">To stop for a while, disable it instead: its events wait.</p>
    <//>`;
}

/** A new signing secret beside the old one, which goes on signing for a while. */
export function RotateDialog({ endpoint, onRotated, onClose }) {
  const [overlap, setOverlap] = useState('24h');
  const [own, setOwn] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const at = (pointer) => error?.errors.find((one) => one.pointer === pointer)?.message;
  const elsewhere = error && !at('/overlap') && !at('/secret') ? error : null;
  const go = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const body = { ...(overlap.trim() && { overlap: overlap.trim() }), ...(own.trim() && { secret: own.trim() }) };
      onRotated(await api.post(path(endpoint.id, 'secret', 'rotate'), body, { keep: ['config'] }));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title=${`Rotate the secret of “${visible(endpoint.name)}”`} onClose=${onClose}>
      <form onSubmit=${go}>
        <p>A new secret is made. While the overlap lasts, both sign, so that the receiver can change over without losing a request.</p>
        <${Field} label="Overlap" hint="From 0s (the old secret ends at once) to 7d." error=${at('/overlap')}>${(a) => html`
          <${Input} ...${a} value=${overlap} onValue=${setOverlap} />`}<//>
        <${Field} label="A secret of your own" optional hint="Of the kind that the endpoint’s signature scheme takes. Left empty, one is made." error=${at('/secret')}>${(a) => html`
          <${Input} ...${a} type="password" autocomplete="new-password" value=${own} onValue=${setOwn} />`}<//>
        <${Problem} error=${elsewhere} />
        <footer><${Button} onClick=${onClose}>Keep the secret<//><${Button} kind="primary" type="submit" busy=${busy}>Rotate<//></footer>
      </form>
    <//>`;
}

export const LastAt = ({ at }) => html`<${Time} at=${at} relative />`;
