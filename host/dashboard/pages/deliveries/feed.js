// The list of deliveries as it changes: a first page, and what a stream brings on top of it. What is kept has a bound, and
// drawing has a rhythm, so that a flood of events leaves the page usable.

import { useLayoutEffect, useMemo, useReducer } from '../../lib/html.js';
import { api, follow } from '../../lib/api.js';

/** Rows beyond those that the reader asked for leave at the bottom. */
const SHOWN_MOST = 100;
/** What is new while one reads; older of it is counted and left to the list. */
const HELD_MOST = 100;
/** A page out of sight draws nothing, and must not keep everything either. */
const ARRIVED_MOST = 1_000;
const DRAWN_EVERY_MS = 200;
/** Between two drawings lies so many times what one takes: a slow machine draws less often. */
const REST = 4;
const RESTED_MOST_MS = 2_000;
/** Where there is no stream. */
const RELOADED_EVERY_S = 5;
/** A few rows, which somebody waits for. */
const FEW_RELOADED_EVERY_S = 2;
const PAGE = 50;

const isFinal = (delivery) => delivery.state !== 'pending';

/** An answer that was under way may tell what a later one has overtaken. */
const isOlder = (now, before) => (isFinal(before) && !isFinal(now)) || now.attempts < before.attempts;

export class Feed {
  rows = null;
  error = null;
  loading = false;
  /** `connecting`, `live`, `waiting`, `polling`, or `fixed` where nothing new can come. */
  mode = 'connecting';
  /** New rows wait while the reader is at others. */
  held = new Map();
  heldCount = 0;
  holding = false;
  /** Rows left at the bottom: what follows is no longer the next page. */
  cut = false;
  /** Seconds between two looks, where there is no stream. */
  every = RELOADED_EVERY_S;
  #filters;
  #draw = () => {};
  #cursor = null;
  #most = SHOWN_MOST;
  #arrived = new Map();
  #timer = null;
  #drawnAt = 0;
  #pause = DRAWN_EVERY_MS;
  #end = null;
  #looking = false;
  #stale = false;

  constructor(filters) {
    this.#filters = filters;
  }

  get more() { return this.#cursor != null && !this.cut; }

  start(draw) {
    this.#draw = draw;
    this.#end = new AbortController();
    this.load();
    if (this.#filters.until) {
      this.mode = 'fixed';
      return;
    }
    const { event, webhook_id: webhook } = this.#filters;
    // The stream knows neither: all of it would come for a few rows.
    if (event || webhook) {
      this.mode = 'polling';
      this.every = FEW_RELOADED_EVERY_S;
    } else {
      this.#follow();
    }
    const polls = setInterval(() => { if (this.mode === 'polling' && !document.hidden) this.refresh(); }, this.every * 1_000);
    this.#end.signal.addEventListener('abort', () => clearInterval(polls));
  }

  stop() {
    this.#end?.abort();
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#draw = () => {};
  }

  #follow() {
    const { tenant, endpoint, type, state } = this.#filters;
    // A final state stays; what leaves `pending` is to be seen as it leaves.
    const values = { tenant, endpoint, type, state: state === 'pending' ? undefined : state };
    let broken = false;
    follow('/v1/deliveries/live', values, {
      event: (name, data) => {
        if (name === 'delivery') this.#receive([data]);
        else if (name === 'behind') this.refresh();
      },
      state: (word) => {
        if (word === 'open') {
          this.mode = 'live';
          if (broken) this.refresh();
        } else if (this.mode !== 'polling') {
          this.mode = 'waiting';
        }
        broken = word !== 'open';
        this.#draw();
      },
      refused: () => { this.mode = 'polling'; },
    }, this.#end.signal);
  }

  async #page(cursor) {
    return api.get('/v1/deliveries', { ...this.#filters, limit: PAGE, cursor }, { signal: this.#end.signal });
  }

  /** From the top. */
  async load() {
    await this.#loading(async () => {
      const page = await this.#page();
      this.rows = page.items;
      this.#cursor = page.next;
      this.#most = SHOWN_MOST;
      this.cut = false;
      this.#letGo();
    });
  }

  async loadMore() {
    await this.#loading(async () => {
      const page = await this.#page(this.#cursor);
      const there = new Set(this.rows.map((row) => row.id));
      this.rows = [...this.rows, ...page.items.filter((row) => !there.has(row.id))];
      this.#cursor = page.next;
      this.#most = Math.max(this.#most, this.rows.length);
    });
  }

  async #loading(work) {
    this.loading = true;
    this.#draw();
    try {
      await work();
      this.error = null;
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.error = error;
    }
    this.loading = false;
    this.#draw();
  }

  /** What the stream did not bring. In a flood it says so again and again: one look is under way, and one more waits. */
  async refresh() {
    this.#stale = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#stale && !this.#end.signal.aborted) {
      this.#stale = false;
      await this.#look();
      await new Promise((wake) => { setTimeout(wake, this.#pause); });
    }
    this.#looking = false;
  }

  async #look() {
    if (this.rows === null) return;
    try {
      const page = await this.#page();
      this.error = null;
      this.#receive(page.items.reverse());
    } catch (error) {
      if (error.name !== 'AbortError' && this.mode === 'polling') {
        this.error = error;
        this.#draw();
      }
    }
  }

  hold(holding) {
    if (this.holding === holding) return;
    this.holding = holding;
    if (!holding) this.show();
  }

  /** Puts what waited on top. */
  show() {
    if (this.held.size) this.#put([...this.held.values()].reverse());
    this.#letGo();
    this.#draw();
  }

  #letGo() {
    this.held.clear();
    this.heldCount = 0;
  }

  #receive(items) {
    for (const item of items) {
      this.#arrived.delete(item.id);
      this.#arrived.set(item.id, item);
    }
    while (this.#arrived.size > ARRIVED_MOST) this.#arrived.delete(this.#arrived.keys().next().value);
    if (this.#timer !== null) return;
    const wait = Math.max(0, this.#drawnAt + this.#pause - performance.now());
    this.#timer = setTimeout(() => requestAnimationFrame(() => this.#take()), wait);
  }

  #take() {
    this.#timer = null;
    this.#drawnAt = performance.now();
    if (this.rows === null || !this.#arrived.size) return;
    const arrived = this.#arrived;
    this.#arrived = new Map();
    let changed = false;
    const rows = this.rows.map((row) => {
      const now = arrived.get(row.id);
      if (!now) return row;
      arrived.delete(row.id);
      if (isOlder(now, row)) return row;
      changed = true;
      return now;
    });
    if (changed) this.rows = rows;
    const fresh = [...arrived.values()].filter((row) => this.#fits(row));
    if (this.holding) this.#keep(fresh);
    else if (fresh.length) this.#put(fresh.reverse());
    this.#draw();
    this.#measure(this.#drawnAt);
  }

  #measure(began) {
    requestAnimationFrame(() => setTimeout(() => {
      const now = performance.now();
      this.#pause = Math.min(RESTED_MOST_MS, Math.max(DRAWN_EVERY_MS, (now - began) * REST));
      this.#drawnAt = now;
    }));
  }

  #fits(row) {
    const { state, since } = this.#filters;
    return (!state || row.state === state) && (!since || Date.parse(row.created_at) >= Date.parse(since));
  }

  #keep(rows) {
    for (const row of rows) {
      const before = this.held.get(row.id);
      if (!before) this.heldCount += 1;
      else if (isOlder(row, before)) continue;
      this.held.set(row.id, row);
    }
    while (this.held.size > HELD_MOST) this.held.delete(this.held.keys().next().value);
  }

  /** Newest first. */
  #put(fresh) {
    const rows = [...fresh, ...this.rows];
    if (rows.length > this.#most) {
      rows.length = this.#most;
      this.cut = true;
    }
    this.rows = rows;
  }
}

export function useFeed(filters) {
  const feed = useMemo(() => new Feed(filters), [JSON.stringify(filters)]);
  const [, draw] = useReducer((count) => count + 1, 0);
  useLayoutEffect(() => {
    feed.start(draw);
    return () => feed.stop();
  }, [feed]);
  return feed;
}
