// Which modules a page is made of. A browser would learn of them one import after the other, each a trip to the server;
// told of all, it fetches them at once. A test holds these lists against the imports.

const MODULES = {
  overview: ['lib/chart.js', 'lib/choose.js', 'pages/endpoints/parts.js'],
  endpoints: [
    'pages/endpoints/list.js', 'pages/endpoints/show.js', 'pages/endpoints/parts.js', 'pages/endpoints/test.js', 'pages/endpoints/retry.js',
    'pages/endpoints/subscription.js', 'pages/overview.js', 'lib/chart.js', 'lib/choose.js',
  ],
  'endpoints/edit': ['pages/endpoints/form.js', 'lib/chain.js', 'lib/schema-form.js', 'lib/editor.js', 'lib/tree.js'],
  deliveries: [
    'pages/deliveries/events.js', 'pages/deliveries/list.js', 'pages/deliveries/one.js', 'pages/deliveries/post.js', 'pages/deliveries/selection.js',
    'pages/deliveries/filters.js', 'pages/deliveries/event.js', 'pages/deliveries/feed.js', 'pages/deliveries/names.js', 'pages/deliveries/attempt.js',
    'pages/deliveries/curl.js',
  ],
  bench: [
    'lib/chain.js', 'lib/tree.js', 'lib/editor.js', 'lib/schema-form.js', 'lib/preview.js', 'lib/preview/slack.js', 'lib/preview/teams.js',
    'lib/preview/discord.js', 'lib/preview/feishu.js', 'lib/preview/words.js', 'pages/bench/payload.js', 'pages/bench/result.js', 'pages/bench/backtest.js',
  ],
  replays: ['pages/deliveries/names.js', 'pages/deliveries/selection.js', 'pages/deliveries/filters.js'],
  plugins: [
    'pages/plugins/list.js', 'pages/plugins/one.js', 'pages/plugins/upload.js', 'pages/plugins/words.js', 'pages/plugins/schema.js',
    'pages/plugins/versions.js', 'pages/deliveries/list.js', 'pages/deliveries/names.js', 'pages/deliveries/event.js', 'pages/deliveries/feed.js',
    'pages/deliveries/filters.js', 'pages/deliveries/one.js', 'pages/deliveries/attempt.js', 'pages/deliveries/curl.js',
  ],
  'event-types': [
    'pages/event-types/edit.js', 'pages/event-types/list.js', 'pages/event-types/one.js', 'pages/event-types/volume.js', 'pages/plugins/schema.js',
  ],
  settings: [
    'pages/settings/host.js', 'pages/settings/keys.js', 'pages/settings/tenant.js', 'pages/settings/tenants.js', 'pages/settings/versions.js',
    'pages/settings/offline.js', 'pages/settings/terms.js', 'pages/deliveries/filters.js',
  ],
};

export const PAGES = Object.keys(MODULES);

/** The files of a page, its own first. */
export const modulesOf = (page) => (Object.hasOwn(MODULES, page) ? [`pages/${page}.js`, ...MODULES[page]] : []);

const told = new Set();

/** Has the browser fetch what a page is made of; nothing of it runs yet. */
export function prepare(page) {
  for (const file of modulesOf(page)) {
    if (told.has(file)) continue;
    told.add(file);
    document.head.append(Object.assign(document.createElement('link'), { rel: 'modulepreload', href: `/dashboard/${file}` }));
  }
}

// This runs while what all pages have in common is still on its way.
const [page, id, step] = location.hash.replace(/^#\/?/, '').split('?')[0].split('/');
prepare(page && page !== 'portal' ? page : 'overview');
if (page === 'endpoints' && (id === 'new' || step === 'edit')) prepare('endpoints/edit');
