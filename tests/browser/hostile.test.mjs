// Text that means harm is shown as text, in every view: in payloads, in answers of receivers, in names and descriptions.

import assert from 'node:assert/strict';

import { until, world } from './harness.mjs';

const MARKUP = '<script>window.harmed=1</script>"><img src=x onerror="window.harmed=2"><svg onload=window.harmed=3>\' onclick=window.harmed=4 {{7*7}}';
/** Turns what follows around: shown as it is, `exe.gpj` reads as `jpg.exe`. */
const BIDI = '\u202egpj.exe\u2066';
const HARM = `${MARKUP} ${BIDI}`;
/** Where less may stand. */
const SHORT = `"><img src=x onerror=window.harmed=6>${BIDI}`;
const DEEP = 10_000;
/** With the event around it just below `ingest.event_limit`. */
const LONG = 1_000_000;

const here = world({ settings: { DELIVERY_ANSWER_BODY_LIMIT: '2MiB', DELIVERY_STORED_ANSWER_BODY: '2MiB' } });
const { scene } = here;

/** What a page shows must be text, and steer nothing. */
async function isText(tab, name) {
  await tab.settled();
  const seen = await tab.page.evaluate(() => {
    // What a list offers is a value: it goes into a control as it is.
    const whole = document.documentElement.outerHTML.replace(/<datalist[^]*?<\/datalist>/g, '');
    const turn = whole.search(/[\u202a-\u202e\u2066-\u2069]/);
    const foreign = document.querySelectorAll('#app :is(script, iframe, object, img:not([src="/dashboard/icon.svg"])), [onerror], [onload], [onclick], a[href^="javascript:" i]');
    return {
      harmed: window.harmed ?? null,
      foreign: [...foreign].map((one) => one.outerHTML.slice(0, 200)),
      turned: turn < 0 ? null : whole.slice(Math.max(0, turn - 200), turn + 20),
      wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    };
  });
  assert.equal(seen.harmed, null, `${name}: a script ran`);
  assert.deepEqual(seen.foreign, [], `${name}: text became an element`);
  assert.equal(seen.turned, null, `${name}: a control turns text around`);
  assert.ok(seen.wider <= 0, `${name}: it is ${seen.wider} px wider than the window`);
}

const shows = async (tab, name, text) => {
  const shown = await tab.page.locator('body').innerText();
  assert.ok(shown.includes(text), `${name} does not show ${text}: ${shown.slice(0, 2000)}`);
};

scene('hostile names, payloads and answers are shown as text in every view', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  const payload = { [HARM]: HARM, nested: [{ title: HARM, url: 'javascript:window.harmed=5' }] };
  await host.api('PUT', '/v1/event-types/harm.done', { group: SHORT, description: HARM, samples: [payload], schema: { description: HARM, properties: { [MARKUP]: { description: HARM } } } });
  await host.api('POST', '/v1/keys', { role: 'ingest', description: HARM });
  await host.api('PUT', '/v1/versions', { versions: [{ name: '2026-03', description: HARM }] });
  await host.api('PATCH', '/v1/tenants/default', { description: HARM, headers: { 'X-Harm': MARKUP } });
  receiver.answer('/long', { status: 500, body: `${MARKUP}${'y'.repeat(LONG)}` });
  receiver.answer('/harm', { status: 400, headers: { 'content-type': 'text/html', 'x-harm': MARKUP }, body: HARM });
  receiver.answer('/deep', { status: 500, headers: { 'content-type': 'application/json' }, body: `${'[{"a":'.repeat(DEEP)}1${'}]'.repeat(DEEP)}` });
  const code = `function handler(webhook) { console.log(${JSON.stringify(HARM)}); console.error(${JSON.stringify(MARKUP)}); webhook.headers["x-harm"] = ${JSON.stringify(MARKUP)}; return webhook; }`;
  const harm = await host.endpoint({ name: HARM, description: `${HARM}\n${HARM}`, url: `${receiver.url}/harm`, events: ['harm.*'], channels: [], retry: { attempts: 1 }, transforms: [{ plugin: 'script', config: { code } }] });
  const drop = `function handler(webhook) { webhook.cancel = ${JSON.stringify(HARM)}; return webhook; }`;
  const dropping = await host.endpoint({ name: `${HARM} drops`, url: `${receiver.url}/never`, events: ['harm.*'], transforms: [{ plugin: 'script', config: { code: drop } }] });
  const deep = await host.endpoint({ name: 'Deep', url: `${receiver.url}/deep`, events: ['harm.*'], retry: { attempts: 1 } });
  const verbose = await host.endpoint({ name: 'Verbose', url: `${receiver.url}/long`, events: ['harm.*'], retry: { attempts: 1 } });
  const slack = await host.endpoint({ name: 'Slack', url: `${receiver.url}/slack`, events: ['other.*'], transforms: [{ plugin: 'slack', config: { title: HARM, text: `{${'nested.0.title'}}`, link: { path: 'nested.0.url', label: 'Open' } } }] });
  const { id } = await host.post('harm.done', payload);
  const { id: long } = await host.post('harm.done', { text: `${MARKUP}${'x'.repeat(LONG - 500)}` });
  const nested = `${'{"a":['.repeat(60)}${JSON.stringify(HARM)}${']}'.repeat(60)}`;
  await host.api('POST', '/v1/events', `{"type":"harm.done","payload":${nested}}`);
  const deliveries = await until('all to end', async () => {
    const { items } = await host.api('GET', '/v1/deliveries?limit=100');
    return items.length === 12 && items.every(({ state }) => state !== 'pending') && items;
  });
  const of = (event, endpoint) => deliveries.find((one) => one.event === event && one.endpoint === endpoint.id).id;
  const replay = await host.api('POST', '/v1/replays', { endpoint: harm.id, state: 'failed' });

  for (const [name, place, shown] of [
    ['the overview', 'overview', MARKUP],
    ['the endpoints', 'endpoints', MARKUP],
    ['an endpoint', `endpoints/${harm.id}`, MARKUP],
    ['its form', `endpoints/${harm.id}/edit`, MARKUP],
    ['a new one like it', `endpoints/new?from=${harm.id}`, MARKUP],
    ['the deliveries', 'deliveries', MARKUP],
    ['a delivery', `deliveries/${of(id, harm)}`, MARKUP],
    ['one that was dropped', `deliveries/${of(id, dropping)}`, MARKUP],
    ['the events', 'deliveries/events'],
    ['an event', `deliveries?event=${id}`, MARKUP],
    ['the bench', `bench?event=${id}&endpoint=${harm.id}`, MARKUP],
    ['the bench with a message to Slack', `bench?event=${id}&endpoint=${slack.id}`, MARKUP],
    ['the replays', 'replays', MARKUP],
    ['a replay', `replays/${replay.id}`, MARKUP],
    ['a plugin', 'plugins/script', MARKUP],
    ['the event types', 'event-types', MARKUP],
    ['an event type', 'event-types/harm.done', MARKUP],
    ['the form of an event type', 'event-types/harm.done/edit'],
    ['the keys', 'settings/keys', MARKUP],
    ['the tenants', 'settings/tenants', MARKUP],
    ['a tenant', 'settings/tenants/default'],
    ['the host', 'settings/host'],
    ['the versions', 'settings/versions', MARKUP],
  ]) {
    await tab.go(place);
    await isText(tab, name);
    if (shown) await shows(tab, name, shown);
  }

  // What is opened on the way: dialogs, menus, what is typed.
  await tab.go('endpoints', 'Endpoints');
  await tab.settled();
  for (const item of ['Send a test event', 'Rotate the secret', 'Delete']) {
    await page.getByRole('row').filter({ hasText: MARKUP }).last().getByRole('button', { name: /^What to do with/ }).click();
    await page.getByRole('menuitem', { name: item }).click();
    const dialog = page.getByRole('dialog');
    await tab.shows(dialog);
    if (item.startsWith('Send')) {
      await dialog.getByRole('button', { name: 'Send', exact: true }).click();
      await tab.shows(dialog.getByRole('heading', { name: 'Result' }));
    }
    await isText(tab, item);
    await page.keyboard.press('Escape');
    await tab.gone(dialog);
  }

  // A megabyte in one string, as a payload and as an answer; all of it on request.
  for (const [place, label] of [[of(long, deep), 'Payload of the event'], [of(id, verbose), 'Body of the response']]) {
    await tab.go(`deliveries/${place}`, 'harm.done');
    await isText(tab, label);
    const body = page.locator('.code').filter({ has: page.getByLabel(label, { exact: true }) });
    await body.getByRole('button', { name: /^Show all/ }).click();
    await until('all of it', async () => (await body.locator('pre').textContent()).length >= LONG - 500);
    await isText(tab, `all of ${label}`);
  }

  // Ten thousand levels, as an answer and as something typed.
  await tab.go(`deliveries/${of(id, deep)}`, 'harm.done');
  await isText(tab, 'ten thousand levels');
  await shows(tab, 'ten thousand levels', '"a"');
  await tab.go(`bench?event=${long}&endpoint=${deep.id}`);
  await isText(tab, 'the bench with a megabyte');
});

scene('ten thousand levels that somebody types are refused in words', async (tab) => {
  const { page } = tab;
  await tab.go('deliveries', 'Deliveries');
  await page.getByRole('button', { name: 'Post an event' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Event type').fill('harm.typed');
  await dialog.getByLabel('Payload', { exact: true }).fill('['.repeat(DEEP) + ']'.repeat(DEEP));
  tab.mayRefuse(400, /^\/v1\/events$/);
  tab.mayRefuse(422, /^\/v1\/events$/);
  await dialog.getByRole('button', { name: 'Post it' }).click();
  await tab.says(dialog, /nested deeper than 128 levels/);
  await isText(tab, 'the dialog');
});
