// Where the reader is: `#/page/part?filter=value`. The address bar holds all of it, so that a view can be sent to somebody.

import { useEffect, useLayoutEffect, useState } from './html.js';

/** Anything may stand in an address. */
function decoded(step) {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

export function parse(hash = location.hash) {
  const [path, search = ''] = hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').filter(Boolean).map(decoded);
  return { page: parts[0] ?? '', parts: parts.slice(1), query: Object.fromEntries(new URLSearchParams(search)) };
}

/** `link('deliveries', 'dlv_1')`, `link('deliveries', {state: 'failed'})`. */
export function link(...steps) {
  const values = typeof steps.at(-1) === 'object' ? steps.pop() : {};
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== '') search.set(name, value);
  }
  const text = search.toString();
  return `#/${steps.map(encodeURIComponent).join('/')}${text && `?${text}`}`;
}

export function go(...steps) { location.hash = link(...steps); }

/** Changes filters in the address without a new entry in the history. */
export function setQuery(changes) {
  const { page, parts, query } = parse();
  history.replaceState(history.state, '', link(page, ...parts, { ...query, ...changes }));
  dispatchEvent(new HashChangeEvent('hashchange'));
}

/** What a page says that would be lost: a function that answers whether there is anything. */
let unsaved = () => false;
const QUESTION = 'What you changed here is not saved. Leave all the same?';

/** Whether what is shown may go: asks where something would be lost. */
export const mayLeave = () => !unsaved() || confirm(QUESTION);
export const isUnsaved = () => unsaved();

export function useRoute() {
  const [route, setRoute] = useState(parse());
  useEffect(() => {
    let shown = location.hash;
    const moved = () => {
      const left = parse(shown).page !== parse().page || parse(shown).parts.join('/') !== parse().parts.join('/');
      if (left && !mayLeave()) {
        history.replaceState(history.state, '', shown);
        return;
      }
      if (left) unsaved = () => false;
      shown = location.hash;
      setRoute(parse());
    };
    const closing = (event) => { if (unsaved()) event.preventDefault(); };
    addEventListener('hashchange', moved);
    addEventListener('beforeunload', closing);
    return () => {
      removeEventListener('hashchange', moved);
      removeEventListener('beforeunload', closing);
    };
  }, []);
  return route;
}

/** While `dirty`, leaving the page asks first. Known before the address changes: what was saved leaves without a question. */
export function useUnsaved(dirty) {
  useLayoutEffect(() => {
    unsaved = () => dirty;
    return () => { unsaved = () => false; };
  }, [dirty]);
}
