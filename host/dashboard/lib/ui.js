// What pages are made of. Text from payloads goes into elements as text, never as markup; `visible` shows hidden controls.

import { html, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState } from './html.js';
import { ago, percent, time, utc, visible } from './format.js';
import { pretty } from './json.js';

export { visible };

/* Small things */

const SHAPES = {
  overview: 'M3 13h4v8H3zM10 3h4v18h-4zM17 9h4v12h-4z',
  endpoints: 'M4 12a8 8 0 1 1 16 0 8 8 0 0 1-16 0zm8-4v8m-4-4h8',
  bench: 'M9 3h6M10 3v6l-5.5 9.5A1.7 1.7 0 0 0 6 21h12a1.7 1.7 0 0 0 1.5-2.5L14 9V3M8 15h8',
  deliveries: 'M3 6h18v12H3zM3 7l9 7 9-7',
  replays: 'M4 4v6h6M20 20v-6h-6M5 10a8 8 0 0 1 14-2M19 14a8 8 0 0 1-14 2',
  plugins: 'M9 3v4H5v5h3a2 2 0 1 1 0 4H5v5h14v-5h-2a2 2 0 1 1 0-4h2V7h-4V3z',
  types: 'M4 6h16M4 12h16M4 18h10',
  settings: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 2v3m0 14v3M4.9 4.9 7 7m10 10 2.1 2.1M2 12h3m14 0h3M4.9 19.1 7 17M17 7l2.1-2.1',
  menu: 'M4 7h16M4 12h16M4 17h16',
  more: 'M5 11.2v1.6M12 11.2v1.6M19 11.2v1.6',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 12l5 5L20 7',
  plus: 'M12 5v14M5 12h14',
  up: 'M12 19V5M6 11l6-6 6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5',
  open: 'M6 9l6 6 6-6',
  shut: 'M9 6l6 6-6 6',
  out: 'M10 4H5v16h5M15 8l4 4-4 4M19 12H9',
};

export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${SHAPES[name]} /></svg>`;

/** `kind`: primary, danger, quiet. `busy` keeps it from being pressed twice. */
export const Button = ({ kind = '', icon, busy, children, type = 'button', class: more = '', ...rest }) => html`
  <button type=${type} class="button ${kind} ${more}" aria-busy=${busy ? 'true' : undefined} ...${rest}
    disabled=${rest.disabled || busy}>
    ${icon && html`<${Icon} name=${icon} />`}${children}
  </button>`;

/** A link that looks like a button. */
export const ButtonLink = ({ kind = '', icon, children, ...rest }) => html`
  <a class="button ${kind}" ...${rest}>${icon && html`<${Icon} name=${icon} />`}${children}</a>`;

const TONES = {
  delivered: 'good', active: 'good', done: 'good', pass: 'good', same: 'good',
  failed: 'bad', failing: 'bad', fail: 'bad', reject: 'bad', plugin_failed: 'bad', refused: 'bad', unreachable: 'bad', gone: 'bad',
  pending: 'info', running: 'info', replace: 'info', changed: 'info',
  filtered: 'calm', cancelled: 'calm', disabled: 'calm', drop: 'calm',
  held: 'warn', warning: 'warn', deprecated: 'warn', offline: 'warn',
};

/** A state, told by its word and not by its colour alone. */
export const Badge = ({ state, tone, children, title }) => html`
  <span class="badge ${tone ?? TONES[state] ?? 'calm'}" title=${title}>${children ?? state}</span>`;

/** A moment in the reader's zone; UTC at hand. */
export const Time = ({ at, relative: near = false, none = 'never' }) => {
  if (!at) return html`<span class="faint">${none}</span>`;
  return html`<time datetime=${at} title=${near ? `${time(at)} · ${utc(at)}` : utc(at)}>${near ? ago(at) : time(at)}</time>`;
};

export const Rate = ({ part }) => html`
  <span class=${part == null ? 'faint' : part < 0.9 ? 'rate bad' : part < 0.99 ? 'rate warn' : 'rate'}>${percent(part)}</span>`;

export const Spinner = ({ label = 'Loading' }) => html`<p class="spinner" role="status"><span aria-hidden="true"></span>${label} …</p>`;

/* Page and sections */

/** A page's head: its title takes the focus when it is opened, so that a screen reader tells it. */
export function Page({ title, back, actions, children, wide }) {
  const head = useRef(null);
  useEffect(() => {
    document.title = `${title} · Hookwright`;
  }, [title]);
  useEffect(() => { head.current?.focus({ preventScroll: true }); }, []);
  return html`
    <div class="page ${wide ? 'wide' : ''}">
      <header class="page-head">
        <div>
          ${back && html`<a class="back" href=${back.href}>← ${back.text}</a>`}
          <h1 tabindex="-1" ref=${head}>${title}</h1>
        </div>
        ${actions && html`<div class="actions">${actions}</div>`}
      </header>
      ${children}
    </div>`;
}

export const Card = ({ title, actions, children, class: more = '', ...rest }) => html`
  <section class="card ${more}" ...${rest}>
    ${(title || actions) && html`<header><h2>${title}</h2>${actions && html`<div class="actions">${actions}</div>`}</header>`}
    ${children}
  </section>`;

/** One number with its name. */
export const Stat = ({ label, value, note, tone }) => html`
  <div class="stat ${tone ?? ''}"><dt>${label}</dt><dd>${value}${note && html`<small>${note}</small>`}</dd></div>`;

/** `pairs`: `[[name, value], ...]`; what has no value is left out. */
export const Facts = ({ pairs }) => html`
  <dl class="facts">${pairs.filter(Boolean).map(([name, value]) => value != null && value !== false && value !== '' && html`
    <div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

/** What to do where there is nothing yet. */
export const Empty = ({ title, children, action }) => html`
  <div class="empty"><p class="strong">${title}</p>${children && html`<p>${children}</p>`}${action}</div>`;

/** The places that say more than the sentence above them. */
const told = (error) => (error.errors ?? []).filter((one) => !(error.message.includes(one.message) && error.message.includes(one.pointer)));

/** What went wrong, in the server's own words. */
export const Problem = ({ error, retry }) => error && html`
  <div class="problem" role="alert">
    <p>${visible(error.message)}</p>
    ${told(error).length > 0 && html`<ul>${told(error).map((e) => html`
      <li key=${e.pointer + e.message}><code>${visible(e.pointer)}</code> ${visible(e.message)}</li>`)}</ul>`}
    ${retry && html`<${Button} onClick=${retry}>Try again<//>`}
  </div>`;

/** Keeps one broken part from taking the page with it. */
export function Boundary({ children }) {
  const [error, reset] = useErrorBoundary();
  if (!error) return children;
  return html`<div class="problem" role="alert"><p>This part of the page broke: ${visible(error.message)}</p>
    <${Button} onClick=${reset}>Try again<//></div>`;
}

/* Lists */

/**
 * `columns`: `[{head, cell: (row) => ..., class?, label?}]`. The first column's cell is the row's header. On narrow
 * screens each row is a card, with the heads as labels.
 */
export const Table = ({ caption, columns, rows, id = (row) => row.id, empty, class: more = '' }) => rows.length === 0 ? empty : html`
  <div class="table-frame ${more}" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <caption class="hidden">${caption}</caption>
      <thead><tr>${columns.map((column) => html`
        <th scope="col" class=${column.class} key=${column.head}>${column.quiet ? html`<span class="hidden">${column.head}</span>` : column.head}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`
        <tr key=${id(row)}>${columns.map((column, at) => at === 0
          ? html`<th scope="row" class=${column.class} data-head=${column.head}>${column.cell(row)}</th>`
          : html`<td class=${column.class} data-head=${column.head}>${column.cell(row)}</td>`)}</tr>`)}</tbody>
    </table>
  </div>`;

/** Under a list that has more pages. */
export const More = ({ pages }) => pages.more && html`
  <p class="more"><${Button} busy=${pages.loading} onClick=${pages.loadMore}>Show more<//></p>`;

/** A list from `usePages`, with what it says while it loads, fails or is empty. */
export const Listing = ({ pages, ...table }) => html`
  ${pages.error && html`<${Problem} error=${pages.error} retry=${pages.reload} />`}
  ${pages.items === null ? (!pages.error && html`<${Spinner} />`) : html`<${Table} ...${table} rows=${pages.items} /><${More} pages=${pages} />`}`;

/* Forms */

/**
 * A field with its label, hint and what is wrong with it. `children` is a function of the attributes that tie the
 * control to them: `${(a) => html`<input ...${a} />`}`.
 */
export function Field({ label, hint, error, optional, children, class: more = '' }) {
  const [id] = useState(nextId);
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;
  return html`
    <div class="field ${error ? 'wrong' : ''} ${more}">
      <label for=${id}>${label}${optional && html`<span class="faint"> (optional)</span>`}</label>
      ${children({ id, 'aria-describedby': described, 'aria-invalid': error ? 'true' : undefined })}
      ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
      ${error && html`<p class="error" id="${id}-error">${visible(error)}</p>`}
    </div>`;
}

export const Input = ({ onValue, ...rest }) => html`<input autocomplete="off" spellcheck=${false} ...${rest} onInput=${(e) => onValue(e.target.value)} />`;

export const Select = ({ value, options, onValue, ...rest }) => html`
  <select ...${rest} onChange=${(e) => onValue(e.target.value)}>${options.map(([word, text]) => html`
    <option key=${word} value=${word} selected=${word === value}>${text}</option>`)}</select>`;

/** A text of many lines; the tab key goes on to the next control, as everywhere. */
export const Area = ({ onValue, rows = 8, ...rest }) => html`
  <textarea spellcheck=${false} autocomplete="off" rows=${rows} ...${rest} onInput=${(e) => onValue(e.target.value)}></textarea>`;

export const Toggle = ({ on, label, onChange, quiet, ...rest }) => html`
  <label class="toggle"><input type="checkbox" role="switch" checked=${on} onChange=${(e) => onChange(e.target.checked)} ...${rest} />
    <span aria-hidden="true"></span><span class=${quiet ? 'hidden' : ''}>${label}</span></label>`;

export const Check = ({ on, label, onChange, ...rest }) => html`
  <label class="check"><input type="checkbox" checked=${on} onChange=${(e) => onChange(e.target.checked)} ...${rest} />${label}</label>`;

/** `tabs`: `[[word, text], ...]`. Arrow keys move between them. */
export function Tabs({ label, tabs, value, onValue }) {
  const bar = useRef(null);
  const key = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = tabs.findIndex(([word]) => word === value);
    const next = (at + step + tabs.length) % tabs.length;
    onValue(tabs[next][0]);
    bar.current.children[next].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} ref=${bar} onKeyDown=${key}>${tabs.map(([word, text]) => html`
    <button type="button" role="tab" key=${word} aria-selected=${word === value ? 'true' : 'false'}
      tabindex=${word === value ? 0 : -1} onClick=${() => onValue(word)}>${text}</button>`)}</div>`;
}

/* What lies above the page */

/** A dialog. The browser's own element keeps the focus inside and closes it with Escape. */
export function Dialog({ title, onClose, children, wide }) {
  const dialog = useRef(null);
  useEffect(() => {
    dialog.current.showModal();
    return () => dialog.current?.close();
  }, []);
  const [id] = useState(nextId);
  // A browser closes it with the second Escape, whatever the first one came to; one that asks first is shown again.
  const closed = (event) => {
    if (event.target !== dialog.current || !dialog.current.isConnected) return;
    onClose();
    setTimeout(() => { if (dialog.current?.isConnected && !dialog.current.open) dialog.current.showModal(); });
  };
  return html`
    <dialog class=${wide ? 'wide' : ''} ref=${dialog} aria-labelledby=${id} onCancel=${(e) => { if (e.target === dialog.current) { e.preventDefault(); onClose(); } }} onClose=${closed}>
      <header><h2 id=${id}>${title}</h2><button type="button" class="button quiet" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button></header>
      ${children}
    </dialog>`;
}

/**
 * Asks before something is done that cannot be taken back. `act` is awaited; what it throws is shown and the question stays.
 */
export function Confirm({ title, children, verb, danger = true, act, onClose }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const go = async () => {
    setBusy(true);
    try {
      await act();
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${children}<${Problem} error=${error} />
    <footer><${Button} onClick=${onClose}>Keep<//><${Button} kind=${danger ? 'danger' : 'primary'} busy=${busy} onClick=${go}>${verb}<//></footer>
  <//>`;
}

/** Below the button, above it where there is no room; fixed, so that no table with a scroll bar cuts it off. */
function place(list, button) {
  const at = button.getBoundingClientRect();
  const below = at.bottom + 4 + list.offsetHeight <= innerHeight;
  list.style.top = `${below ? at.bottom + 4 : Math.max(4, at.top - 4 - list.offsetHeight)}px`;
  list.style.left = `${Math.max(4, Math.min(at.right - list.offsetWidth, innerWidth - list.offsetWidth - 4))}px`;
}

/** `items`: `[{text, act, danger?, href?}]`. */
export function Menu({ label, items, icon = 'more', children }) {
  const [open, setOpen] = useState(false);
  const root = useRef(null);
  const list = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const away = (event) => { if (!root.current.contains(event.target)) setOpen(false); };
    addEventListener('pointerdown', away);
    return () => removeEventListener('pointerdown', away);
  }, [open]);
  useLayoutEffect(() => {
    if (!open) return undefined;
    place(list.current, root.current);
    list.current.querySelector('[role=menuitem]')?.focus({ preventScroll: true });
    // It stands where its button was.
    const moved = (event) => { if (!list.current?.contains(event.target)) setOpen(false); };
    addEventListener('scroll', moved, true);
    addEventListener('resize', moved);
    return () => {
      removeEventListener('scroll', moved, true);
      removeEventListener('resize', moved);
    };
  }, [open]);
  const close = () => {
    setOpen(false);
    root.current.querySelector('button').focus();
  };
  const key = (event) => {
    if (event.key === 'Escape') { event.stopPropagation(); close(); return; }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const entries = [...list.current.querySelectorAll('[role=menuitem]')];
    entries[(entries.indexOf(document.activeElement) + step + entries.length) % entries.length].focus();
  };
  const shown = items.filter(Boolean);
  return html`
    <div class="menu" ref=${root} onFocusOut=${(e) => { if (e.relatedTarget && !root.current.contains(e.relatedTarget)) setOpen(false); }}>
      <button type="button" class="button quiet" aria-haspopup="menu" aria-expanded=${open ? 'true' : 'false'} aria-label=${label}
        onClick=${() => setOpen(!open)}>${children ?? html`<${Icon} name=${icon} />`}</button>
      ${open && html`<div class="menu-list" role="menu" aria-label=${label} ref=${list} onKeyDown=${key}>${shown.map((item) => item.href
        ? html`<a role="menuitem" tabindex="-1" href=${item.href} onClick=${() => setOpen(false)}>${item.text}</a>`
        : html`<button type="button" role="menuitem" tabindex="-1" class=${item.danger ? 'danger' : ''}
            onClick=${() => { close(); item.act(); }}>${item.text}</button>`)}</div>`}
    </div>`;
}

let tell = () => {};

/** Says for a moment that something was done. `tone`: good, bad. */
export const toast = (text, tone = 'good') => tell({ text, tone, at: Date.now() });

/** Runs what a button does, and tells how it went. */
export async function attempt(work, done) {
  try {
    const result = await work();
    if (done) toast(done);
    return result;
  } catch (error) {
    toast(error.message, 'bad');
    return undefined;
  }
}

const TOAST_MS = 6_000;

export function Toasts() {
  const [shown, setShown] = useState([]);
  useEffect(() => {
    tell = (entry) => {
      setShown((old) => [...old.slice(-3), entry]);
      setTimeout(() => setShown((old) => old.filter((one) => one !== entry)), TOAST_MS);
    };
    return () => { tell = () => {}; };
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">${shown.map((entry) => html`
    <p key=${entry.at + entry.text} class=${entry.tone}>${visible(entry.text)}</p>`)}</div>`;
}

/* Text that came from elsewhere */

/** Prose with the parts in backticks as code. */
export const prose = (words) => words && String(words).split('`').map((part, at) => (at % 2 ? html`<code>${visible(part)}</code>` : visible(part)));

/** `text`, or what makes it when it is wanted. */
export function Copy({ text, label = 'Copy' }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
      toast('Copied.');
    } catch {
      toast('The browser does not let this page copy. Select the text and copy it by hand.', 'bad');
    }
  };
  return html`<${Button} kind="quiet" icon="copy" onClick=${copy}>${label}<//>`;
}

export function download(name, text, type = 'text/plain') {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const anchor = Object.assign(document.createElement('a'), { href: address, download: name });
  anchor.click();
  URL.revokeObjectURL(address);
}

/** Most characters that are drawn at once; the rest is one click away. */
const DRAWN_MOST = 50_000;

/** A body: JSON in lines, everything else as it is. */
export function Code({ text, label, json = true, copy = true }) {
  const [whole, setWhole] = useState(false);
  const shown = useMemo(() => (json ? pretty(text) : text), [text, json]);
  const cut = !whole && shown.length > DRAWN_MOST;
  return html`
    <div class="code">
      ${copy && text && html`<div class="code-tools"><${Copy} text=${text} /></div>`}
      <pre tabindex="0" aria-label=${label ?? 'Text'}>${visible(cut ? shown.slice(0, DRAWN_MOST) : shown)}${cut && '…'}</pre>
      ${cut && html`<${Button} onClick=${() => setWhole(true)}>Show all ${shown.length.toLocaleString()} characters<//>`}
    </div>`;
}

/** Headers as pairs. */
export const Headers = ({ headers }) => headers?.length ? html`
  <table class="headers"><tbody>${headers.map(([name, value], at) => html`
    <tr key=${at}><th scope="row">${visible(name)}</th><td>${visible(value)}</td></tr>`)}</tbody></table>` : html`<p class="faint">none</p>`;

/** Seven days as bars; what they say is in the label. */
export const Sparkline = ({ days, value = (day) => day.delivered + day.failed, bad = (day) => day.failed }) => {
  const most = Math.max(1, ...days.map(value));
  const label = days.map((day) => `${day.day}: ${value(day)}, of which failed ${bad(day)}`).join('; ');
  return html`<svg class="sparkline" viewBox="0 0 70 22" role="img" aria-label=${label}>
    <title>${label}</title>
    ${days.map((day, at) => {
      const height = Math.max(value(day) ? 1.5 : 0.6, (value(day) / most) * 20);
      const failed = (bad(day) / most) * 20;
      return html`<g key=${day.day}><rect class="bar" x=${at * 10 + 1} y=${21 - height} width="7" height=${height} />
        ${failed > 0 && html`<rect class="bad" x=${at * 10 + 1} y=${21 - failed} width="7" height=${failed} />`}</g>`;
    })}</svg>`;
};

export const Progress = ({ part, label }) => html`
  <div class="progress"><progress max="1" value=${part ?? undefined} aria-label=${label}></progress><span>${label}</span></div>`;

let ids = 0;
const nextId = () => `f${(ids += 1)}`;
