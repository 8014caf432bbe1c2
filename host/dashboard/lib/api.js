// The only way to the server: the public interface, with a session's cookie, or in a frame with a key in memory.

import { useCallback, useLayoutEffect, useRef, useState } from './html.js';
import { parseKeeping } from './json.js';

/** Held in memory alone: a portal's token, in a frame of another site, where no cookie reaches. */
let bearer = null;
/** Told when the server no longer knows who asks. */
let onSignedOut = () => {};

export const bearAs = (token) => { bearer = token; };
export const whenSignedOut = (callback) => { onSignedOut = callback; };

/** What the server refused: its own sentence, and the places that it names. */
export class ApiError extends Error {
  constructor(status, problem, retryAfter) {
    super(problem?.detail ?? `The server answered with ${status}.`);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
    /** `[{pointer, message, of?}]`: the members that are wrong. */
    this.errors = problem?.errors ?? [];
  }
}

export function query(values = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== '') search.set(name, value);
  }
  const text = search.toString();
  return text && `?${text}`;
}

async function send(method, path, { values, body, raw, signal, type, keep, headers: more } = {}) {
  const headers = { accept: 'application/json', ...more };
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers['content-type'] = type ?? 'application/json';
  let response;
  try {
    response = await fetch(path + query(values), {
      method,
      headers,
      signal,
      credentials: bearer ? 'omit' : 'same-origin',
      body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, { detail: 'The server cannot be reached. Is it running, and is this machine online?' });
  }
  const text = await response.text();
  if (!response.ok) {
    if (response.status === 401 && path !== '/v1/session') onSignedOut();
    let problem = null;
    try { problem = JSON.parse(text); } catch { /* not the server's own answer, perhaps a proxy's */ }
    throw new ApiError(response.status, problem, response.headers.get('retry-after'));
  }
  return text ? parseKeeping(text, keep) : null;
}

/**
 * `options`: `{values, signal, keep, raw, type, headers}`. `keep` names members that stay JSON text (payloads, configurations);
 * `raw` says that a body is sent as it is.
 */
export const api = {
  get: (path, values, options) => send('GET', path, { values, ...options }),
  post: (path, body, options) => send('POST', path, { body, ...options }),
  patch: (path, body, options) => send('PATCH', path, { body, ...options }),
  put: (path, body, options) => send('PUT', path, { body, ...options }),
  delete: (path, options) => send('DELETE', path, options),
};

/** Part of a path. */
export const part = encodeURIComponent;

/**
 * Loads while the component is there, and again when `deps` change. `data` stays while it is loaded anew.
 * `every` (ms) loads again and again while the page is in sight.
 */
export function useLoad(load, deps, { every } = {}) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const latest = useRef(null);
  const busy = useRef(false);
  const reload = useCallback(async () => {
    latest.current?.abort();
    const abort = new AbortController();
    latest.current = abort;
    busy.current = true;
    setState((old) => ({ ...old, loading: true }));
    try {
      const data = await load(abort.signal);
      if (!abort.signal.aborted) setState({ data, error: null, loading: false });
    } catch (error) {
      if (!abort.signal.aborted) setState((old) => ({ ...old, error, loading: false }));
    }
    if (latest.current === abort) busy.current = false;
  }, deps);
  // Asked for before the page is drawn, not after it.
  useLayoutEffect(() => {
    reload();
    // An answer that takes longer than the pause would never come, were it asked for anew each time.
    const timer = every && setInterval(() => { if (!document.hidden && !busy.current) reload(); }, every);
    return () => {
      clearInterval(timer);
      latest.current?.abort();
    };
  }, [reload]);
  const set = (data) => {
    // What was asked for before the change would take it back.
    latest.current?.abort();
    busy.current = false;
    setState({ data, error: null, loading: false });
  };
  return { ...state, reload, set };
}

/** A list of the interface, page by page: `{items, more, loadMore, loading, error, reload, setItems}`. */
export function usePages(path, values, { limit = 50, keep } = {}) {
  const key = path + query(values);
  const [state, setState] = useState({ items: null, cursor: null, loading: true, error: null });
  const latest = useRef(null);
  const load = useCallback(async (cursor) => {
    latest.current?.abort();
    const abort = new AbortController();
    latest.current = abort;
    setState((old) => ({ ...old, loading: true }));
    try {
      const page = await api.get(path, { ...values, limit, cursor }, { signal: abort.signal, keep });
      if (abort.signal.aborted) return;
      setState((old) => ({
        items: cursor ? [...(old.items ?? []), ...page.items] : page.items,
        cursor: page.next,
        loading: false,
        error: null,
      }));
    } catch (error) {
      if (!abort.signal.aborted) setState((old) => ({ ...old, loading: false, error }));
    }
  }, [key, limit]);
  useLayoutEffect(() => {
    load(null);
    return () => latest.current?.abort();
  }, [load]);
  return {
    ...state,
    more: state.cursor != null,
    loadMore: () => load(state.cursor),
    reload: () => load(null),
    setItems: (change) => setState((old) => ({ ...old, items: change(old.items ?? []) })),
  };
}

/** The interface's own limit of a page. */
export const MOST_AT_ONCE = 500;

/** Every item of a list, up to `most`: for choices. */
export async function all(path, values, { most = 1_000, signal, keep } = {}) {
  const items = [];
  let cursor;
  do {
    const page = await api.get(path, { ...values, limit: MOST_AT_ONCE, cursor }, { signal, keep });
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < most);
  return items;
}

/** Longest pause between two tries to reach a stream again. */
const LONGEST_PAUSE_MS = 15_000;

/**
 * Follows a stream of server-sent events until `signal` ends it, and comes back to it where it breaks off.
 * `on.event(name, data)`, `on.state('open' | 'waiting')`, `on.refused(status)` where the server answers with no stream. With
 * `fetch`, as `EventSource` can bear no key.
 */
export async function follow(path, values, on, signal) {
  let pause = 500;
  while (!signal.aborted) {
    try {
      const headers = { accept: 'text/event-stream' };
      if (bearer) headers.authorization = `Bearer ${bearer}`;
      const response = await fetch(path + query(values), {
        headers, signal, credentials: bearer ? 'omit' : 'same-origin',
      });
      if (response.status === 401) { onSignedOut(); return; }
      if (!response.ok) {
        on.refused?.(response.status);
        throw new Error(`answered with ${response.status}`);
      }
      on.state?.('open');
      pause = 500;
      await read(response.body, on);
    } catch {
      if (signal.aborted) return;
    }
    on.state?.('waiting');
    await new Promise((wake) => { setTimeout(wake, pause); });
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

async function read(body, on) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    await take(reader, on);
  } finally {
    // What could not be read ends the stream as well: the server counts those that are open.
    reader.cancel().catch(() => {});
  }
}

async function take(reader, on) {
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      let name = 'message';
      const data = [];
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith('event:')) name = line.slice(6).trim();
        if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
      }
      if (data.length) on.event(name, JSON.parse(data.join('\n')));
    }
  }
}
