// Uploading a plugin: it is looked at first, and taken up when somebody has seen what it says.

import { html, useEffect, useRef, useState } from '../../lib/html.js';
import { api, part } from '../../lib/api.js';
import { bytes } from '../../lib/format.js';
import { go } from '../../lib/route.js';
import { Button, Dialog, Facts, Field, Input, Problem, Spinner, toast, visible } from '../../lib/ui.js';
import { digits } from './words.js';

const LOOKED_AFTER_MS = 300;

/** Takes files that are dropped anywhere on the page, or chosen. `name`: they are versions of this plugin. */
export function DropPlugin({ onFiles, name }) {
  const [over, setOver] = useState(false);
  const input = useRef(null);
  useEffect(() => {
    const isFile = (event) => event.dataTransfer?.types.includes('Files');
    const enter = (event) => { if (isFile(event)) { event.preventDefault(); setOver(true); } };
    const leave = (event) => { if (!event.relatedTarget) setOver(false); };
    const drop = (event) => {
      if (!isFile(event)) return;
      event.preventDefault();
      setOver(false);
      if (!document.querySelector('dialog[open]')) onFiles([...event.dataTransfer.files]);
    };
    addEventListener('dragover', enter);
    addEventListener('dragleave', leave);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', enter);
      removeEventListener('dragleave', leave);
      removeEventListener('drop', drop);
    };
  }, [onFiles]);
  const chosen = () => {
    onFiles([...input.current.files]);
    input.current.value = '';
  };
  return html`
    <label class="drop ${over ? 'over' : ''}">
      <span><strong>${name ? `Upload a version of ${name}` : 'Upload a plugin'}</strong>: drop its <code>.wasm</code> file here, or choose it${' '}
        <span class="faint">(and its <code>.sig</code>, where the server asks for signatures)</span></span>
      <input type="file" accept=".wasm,.sig,application/wasm" multiple ref=${input} onChange=${chosen} />
    </label>`;
}

const nameOf = (file) => file.name.replace(/\.wasm$/i, '').toLowerCase().replace(/[^a-z0-9-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 64);

export function Upload({ files, name: fixed, onClose, onTaken }) {
  const file = files.find((one) => /\.wasm$/i.test(one.name)) ?? files.find((one) => !/\.sig$/i.test(one.name));
  const signature = files.find((one) => /\.sig$/i.test(one.name));
  const [name, setName] = useState(fixed ?? (file ? nameOf(file) : ''));
  const [seen, setSeen] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(null);
  const send = async (values, signal) => {
    const headers = signature ? { 'plugin-signature': (await signature.text()).trim() } : undefined;
    return api.put(`/v1/plugins/${part(name)}`, file, { raw: true, type: 'application/wasm', values, headers, signal });
  };
  useEffect(() => {
    if (!file || !name) return undefined;
    const abort = new AbortController();
    setSeen(null);
    setError(null);
    const timer = setTimeout(async () => {
      try {
        const taken = await send({ dry_run: true }, abort.signal);
        if (!abort.signal.aborted) setSeen(taken);
      } catch (problem) {
        if (!abort.signal.aborted) setError(problem);
      }
    }, LOOKED_AFTER_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [name]);
  const take = async (activate) => {
    setBusy(activate ? 'activate' : 'add');
    try {
      const taken = await send({ activate });
      toast(taken.activated ? `${taken.name} ${taken.version} is active.` : `${taken.name} ${taken.version} was added; it is not active.`);
      onTaken?.();
      onClose();
      go('plugins', taken.name);
    } catch (problem) {
      setError(problem);
      setBusy(null);
    }
  };
  if (!file) {
    return html`<${Dialog} title="Upload a plugin" onClose=${onClose}><p>There is no plugin among these files: its name ends in <code>.wasm</code>.</p>
      <footer><${Button} onClick=${onClose}>Close<//></footer><//>`;
  }
  return html`
    <${Dialog} title="Upload a plugin" onClose=${onClose}>
      <${Facts} pairs=${[['File', visible(file.name)], ['Size', bytes(file.size)], ['Signature', signature && visible(signature.name)]]} />
      ${!fixed && html`<${Field} label="Name" class="above" hint="Chains name the plugin by it: small letters, digits, hyphens.">${(a) => html`<${Input} ...${a} value=${name} onValue=${setName} />`}<//>`}
      ${name && !seen && !error && html`<${Spinner} label="The server looks at it" />`}
      ${seen && html`<div class="note above" role="status"><p class="strong">${seen.new ? 'It can be taken up.' : 'The server has this very version already.'}</p>
        <${Facts} pairs=${[['Version', visible(seen.version)], ['Digest', html`<code title=${seen.digest}>${digits(seen.digest)}</code>`]]} />
        <p>Its examples come to what they say, and every chain that follows the name accepts its configuration.</p></div>`}
      ${error && html`<p class="above strong">It cannot become active as it is:</p>`}
      <${Problem} error=${error} />
      <footer>
        <${Button} onClick=${onClose}>Leave it<//>
        <${Button} disabled=${busy || !name || (!seen && !error)} busy=${busy === 'add'} onClick=${() => take(false)}>Add without activating<//>
        <${Button} kind="primary" disabled=${busy || !seen} busy=${busy === 'activate'} onClick=${() => take(true)}>Upload and activate<//>
      </footer>
    <//>`;
}
