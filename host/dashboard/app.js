// The frame around the pages: who is signed in, where one can go, and what is shown.

import { html, render, useCallback, useEffect, useState } from './lib/html.js';
import { api, bearAs, whenSignedOut } from './lib/api.js';
import { prepare } from './lib/modules.js';
import { isUnsaved, link, mayLeave, parse, useRoute } from './lib/route.js';
import { Boundary, Button, Dialog, Icon, Problem, Spinner, Toasts } from './lib/ui.js';
import { Session } from './lib/session.js';

/** Pages are fetched when they are first opened. `who`: the roles that see them in the navigation. */
const PAGES = {
  overview: { text: 'Overview', icon: 'overview', load: () => import('./pages/overview.js') },
  endpoints: { text: 'Endpoints', icon: 'endpoints', load: () => import('./pages/endpoints.js') },
  deliveries: { text: 'Deliveries', icon: 'deliveries', load: () => import('./pages/deliveries.js') },
  bench: { text: 'Bench', icon: 'bench', load: () => import('./pages/bench.js') },
  replays: { text: 'Replays', icon: 'replays', load: () => import('./pages/replays.js') },
  plugins: { text: 'Plugins', icon: 'plugins', load: () => import('./pages/plugins.js') },
  'event-types': { text: 'Event types', icon: 'types', load: () => import('./pages/event-types.js') },
  settings: { text: 'Keys and settings', icon: 'settings', who: ['admin'], load: () => import('./pages/settings.js') },
};

const pageOf = (name) => (Object.hasOwn(PAGES, name) ? PAGES[name] : undefined);

const embedded = new URLSearchParams(location.search).has('embed');

const loaded = new Map();

/** Who is signed in: asked once before anything is drawn. */
let asked = enter().then(() => api.get('/v1/session'));
// Whoever waits for it is told.
asked.catch(() => {});
const first = parse().page || 'overview';
pageOf(first)?.load().then((module) => loaded.set(first, module.default)).catch(() => { /* told where it is shown */ });

function App() {
  const route = useRoute();
  // undefined: not known yet; null: nobody.
  const [session, setSession] = useState(undefined);
  const [error, setError] = useState(null);
  const [ended, setEnded] = useState(false);
  const know = useCallback(async () => {
    setError(null);
    try {
      setSession(await (asked ?? api.get('/v1/session')));
    } catch (problem) {
      if (problem.status === 401) setSession(null);
      else setError(problem);
    }
    asked = null;
  }, []);
  useEffect(() => {
    // Where something is not saved the page stays below the question who it is.
    whenSignedOut(() => (isUnsaved() && !embedded ? setEnded(true) : setSession(null)));
    know();
  }, []);

  if (error) return html`<main class="alone"><${Problem} error=${error} retry=${know} /></main>`;
  if (session === undefined) return html`<main class="alone"><${Spinner} /></main>`;
  if (session === null) return html`<${Loaded} load=${() => import('./pages/sign-in.js')} onSignedIn=${setSession} embedded=${embedded} />`;
  return html`
    <${Session.Provider} value=${{ ...session, embedded, refresh: know, setSession }}>
      <a class="skip" href="#main" onClick=${skip}>To the content</a>
      <div key=${`${session.role} ${session.tenant}`} class="frame ${embedded ? 'embedded' : ''}">
        <${Navigation} route=${route} session=${session} onSignedOut=${() => setSession(null)} />
        <main id="main" tabindex="-1">
          ${session.offline && html`<p class="banner" role="status">${session.tenant ? 'Deliveries are' : 'The host is'} offline: events are taken on, and nothing is delivered.</p>`}
          <${Boundary} key=${`${route.page}/${route.parts.join('/')}`}><${Shown} route=${route} /><//>
        </main>
      </div>
    <//>
    ${ended && html`<${Again} onSignedIn=${(now) => { setEnded(false); setSession(now); }} onClose=${() => { if (mayLeave()) { setEnded(false); setSession(null); } }} />`}
    <${Toasts} />`;
}

/** The session has ended in the middle of something: what was typed is still there afterwards. */
const Again = ({ onSignedIn, onClose }) => html`
  <${Dialog} title="The session has ended" onClose=${onClose}>
    <p>What you changed is still here, and not saved. Sign in again to go on with it.</p>
    <${Loaded} load=${() => import('./pages/sign-in.js')} onSignedIn=${onSignedIn} again />
  <//>`;

/** A portal's link carries its token in the fragment, which no server sees: it is exchanged for a session at once. */
async function enter() {
  const match = /^#\/portal\/([^/?]+)/.exec(location.hash);
  if (!match) return;
  history.replaceState(null, '', `${location.pathname}${location.search}#/overview`);
  dispatchEvent(new HashChangeEvent('hashchange'));
  if (embedded) {
    bearAs(match[1]);
    return;
  }
  await api.post('/v1/session', { key: match[1] }).catch(() => {});
}

function skip(event) {
  event.preventDefault();
  document.getElementById('main').focus();
}

function Shown({ route }) {
  const name = route.page || 'overview';
  const page = pageOf(name);
  if (!page) return html`<div class="page"><h1>There is no such page</h1><p><a href=${link('overview')}>To the overview</a></p></div>`;
  return html`<${Loaded} load=${page.load} name=${name} parts=${route.parts} query=${route.query} />`;
}

function Loaded({ load, ...rest }) {
  const [page, setPage] = useState(() => loaded.get(rest.name));
  const [error, setError] = useState(null);
  useEffect(() => {
    if (page) return;
    load().then((module) => {
      if (rest.name) loaded.set(rest.name, module.default);
      setPage(() => module.default);
    }).catch(() => setError(new Error('This page could not be loaded. Is the server still running?')));
  }, []);
  if (error) return html`<${Problem} error=${error} retry=${() => location.reload()} />`;
  return page ? html`<${page} ...${rest} />` : html`<${Spinner} />`;
}

function Navigation({ route, session, onSignedOut }) {
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [route.page, route.parts.join('/')]);
  const leave = async () => {
    if (!mayLeave()) return;
    await api.delete('/v1/session').catch(() => {});
    onSignedOut();
  };
  const tenant = route.query.tenant;
  return html`
    <nav class=${open ? 'open' : ''} aria-label="Main">
      <div class="brand">
        <a href=${link('overview')}><img src="/dashboard/icon.svg" alt="" width="24" height="24" />Hookwright</a>
        <${Button} kind="quiet" class="fold" icon="menu" aria-label="Menu" aria-expanded=${open ? 'true' : 'false'} onClick=${() => setOpen(!open)} />
      </div>
      <ul>${Object.entries(PAGES).filter(([, page]) => !page.who || page.who.includes(session.role)).map(([name, page]) => html`
        <li key=${name}><a href=${link(name, { tenant })} onPointerEnter=${() => prepare(name)} onFocus=${() => prepare(name)} aria-current=${(route.page || 'overview') === name ? 'page' : undefined}>
          <${Icon} name=${page.icon} />${page.text}</a></li>`)}</ul>
      <div class="who">
        <p>${session.tenant ? html`Tenant <strong>${session.tenant}</strong>` : 'Administrator'}</p>
        <div class="actions">
          <${Theme} />
          ${!embedded && html`<${Button} kind="quiet" icon="out" onClick=${leave}>Sign out<//>`}
        </div>
      </div>
    </nav>`;
}

/** As the system says, or the other one; kept in this browser. */
function Theme() {
  const flip = () => {
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const now = document.documentElement.dataset.theme ?? (dark ? 'dark' : 'light');
    setTheme(now === 'dark' ? 'light' : 'dark');
  };
  return html`<${Button} kind="quiet" icon="sun" aria-label="Light or dark" onClick=${flip} />`;
}

function setTheme(theme) {
  if (!theme) return;
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem('theme', theme); } catch { /* a frame may keep nothing */ }
  dispatchEvent(new Event('themechange'));
}

try { setTheme(localStorage.getItem('theme')); } catch { /* likewise */ }
const root = document.getElementById('app');
root.textContent = '';
render(html`<${App} />`, root);
