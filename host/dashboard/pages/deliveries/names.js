// Names of endpoints by their ids, asked for once and kept while the dashboard is open.

import { useContext, useEffect, useReducer } from '../../lib/html.js';
import { MOST_AT_ONCE, api, part } from '../../lib/api.js';
import { Session } from '../../lib/session.js';

/** The list is asked for again when it is older. */
const FRESH_MS = 30_000;
const REST_AFTER_MS = 1_500;
const KNOWN_MOST = 5_000;
/** Asked for one by one. */
const SINGLY_MOST = 20;

/** By id; `null` for one that is there no more. */
let known = new Map();
let asked = new Set();
let loadedAt = 0;
/** Whether the list has come to its end, so that what it did not hold has to be asked for. */
let complete = false;
let whose = null;
const watchers = new Set();
/** The same array until something changes, so that what is drawn from it can tell. */
let list = [];

function tell() {
  list = [...known.values()].filter(Boolean);
  watchers.forEach((watcher) => watcher());
}

function forget(session) {
  const now = `${session.role} ${session.tenant}`;
  if (whose === now) return;
  whose = now;
  known = new Map();
  list = [];
  asked = new Set();
  loadedAt = 0;
  complete = false;
}

/** The first page at once, the others when the page that is shown has had its turn. */
async function loadAll() {
  if (Date.now() - loadedAt < FRESH_MS) return;
  loadedAt = Date.now();
  const mine = known;
  let cursor;
  try {
    do {
      const page = await api.get('/v1/endpoints', { fields: 'id,name,tenant', limit: MOST_AT_ONCE, cursor });
      if (mine !== known) return;
      for (const endpoint of page.items) known.set(endpoint.id, { id: endpoint.id, name: endpoint.name, tenant: endpoint.tenant });
      cursor = page.next;
      complete ||= !cursor || known.size >= KNOWN_MOST;
      tell();
      if (cursor) await new Promise((wake) => { setTimeout(wake, REST_AFTER_MS); });
    } while (cursor && known.size < KNOWN_MOST);
  } catch {
    loadedAt = 0;
  }
}

/** One that the list did not hold: deleted, or beyond its end. */
async function loadOne(id) {
  if (asked.has(id)) return;
  asked.add(id);
  try {
    known.set(id, await api.get(`/v1/endpoints/${part(id)}`));
  } catch (error) {
    if (error.status !== 404) return;
    known.set(id, null);
  }
  tell();
}

const nameOf = (id) => (known.has(id) ? known.get(id)?.name ?? null : undefined);

/** Draws anew what shows names, when one came. */
function useWatch() {
  forget(useContext(Session));
  const [, draw] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    watchers.add(draw);
    return () => watchers.delete(draw);
  }, []);
}

function useUnknown(ids, wanted) {
  const unknown = wanted ? [...new Set(ids.filter((id) => id && !known.has(id)))].slice(0, SINGLY_MOST) : [];
  useEffect(() => { unknown.forEach(loadOne); }, [unknown.join()]);
}

/**
 * The names of a few endpoints: `nameOf(id)` answers `undefined` while it is not known, and `null` where there is no such
 * endpoint any more.
 */
export function useNames(ids) {
  useWatch();
  useUnknown(ids, true);
  return nameOf;
}

/** `{list, nameOf}`, for those who show many of them: all that there are, and `nameOf` as above. */
export function useEndpoints(ids = []) {
  useWatch();
  useEffect(() => { loadAll(); }, []);
  useUnknown(ids, complete);
  return { list, nameOf };
}
