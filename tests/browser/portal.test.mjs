// A tenant's link: it opens that tenant's things and nobody else's, also in a frame of an origin that may have one.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after } from 'node:test';

import { until, world } from './harness.mjs';

// The host names the origins of frames when it starts, so the site that holds one is there before it.
const site = http.createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/html' });
  response.end(`<!doctype html><title>A customer's page</title><iframe src="${new URL(request.url, 'http://site').searchParams.get('src')}" width="1000" height="700"></iframe>`);
});
await new Promise((done) => { site.listen(0, '127.0.0.1', done); });
const { port } = site.address();
/** Two names of one machine are two origins, and two sites to the browser. */
const ALLOWED = `http://localhost:${port}`;
const STRANGER = `http://127.0.0.1:${port}`;

const here = world({ settings: { DASHBOARD_FRAME_ANCESTORS: ALLOWED }, prepare });
const { scene } = here;
after(() => site.close());

async function prepare({ host, receiver }) {
  for (const tenant of ['acme', 'rival']) {
    await host.endpoint({ name: `Of ${tenant}`, tenant, url: `${receiver.url}/${tenant}`, events: ['*'] });
    const { id } = await host.post('invoice.paid', { of: tenant }, { tenant });
    await host.delivery(id, 'delivered');
  }
}

const link = async () => (await here.host.api('POST', '/v1/tenants/acme/portal', { expires: '10m' })).path;

scene('a tenant’s link opens that tenant alone', { key: null }, async (tab) => {
  const { page } = tab;
  const { host } = here;
  const place = await link();
  await page.goto(host.url + place);
  await tab.shows(tab.heading('Overview'));
  assert.ok(!page.url().includes('hwp_'), 'the token leaves the address bar');
  const navigation = page.getByRole('navigation', { name: 'Main' });
  await tab.says(navigation, 'acme');
  assert.equal(await navigation.getByRole('link', { name: 'Keys and settings' }).count(), 0);

  await navigation.getByRole('link', { name: 'Endpoints' }).click();
  await tab.shows(page.getByRole('link', { name: 'Of acme' }));
  await navigation.getByRole('link', { name: 'Deliveries' }).click();
  await tab.shows(page.getByRole('row').filter({ hasText: 'invoice.paid' }));
  for (const name of ['Overview', 'Endpoints', 'Deliveries', 'Bench', 'Replays', 'Plugins', 'Event types']) {
    await navigation.getByRole('link', { name, exact: true }).click();
    await tab.settled();
    const shown = await page.locator('body').innerText();
    assert.ok(!/rival/i.test(shown), `${name}: ${shown}`);
  }

  const { items: [theirs] } = await host.api('GET', '/v1/endpoints?tenant=rival');
  const { items: [delivery] } = await host.api('GET', '/v1/deliveries?tenant=rival');
  tab.mayRefuse(404, /^\/v1\/(endpoints|deliveries|errors)/);
  for (const other of [`endpoints/${theirs.id}`, `endpoints/${theirs.id}/edit`, `deliveries/${delivery.id}`]) {
    await tab.go(other);
    await tab.shows(page.getByRole('alert'));
    assert.ok(!(await page.locator('body').innerText()).includes('Of rival'));
  }
});

scene('a tenant adds an endpoint of its own, and gets its events', { key: null }, async (tab) => {
  const { page } = tab;
  await page.goto(here.host.url + await link());
  await tab.shows(tab.heading('Overview'));
  await tab.go('endpoints/new', 'Add an endpoint');
  assert.equal(await page.getByLabel('Tenant').count(), 0);
  await page.getByLabel('Name', { exact: true }).fill('Made by acme');
  await page.getByLabel('URL', { exact: true }).fill(`${here.receiver.url}/own`);
  await page.getByRole('checkbox', { name: 'All events' }).check();
  await page.getByRole('button', { name: 'Create the endpoint' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Copy the secret' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Done' }).click();
  await tab.shows(tab.heading('Made by acme'));
  await here.host.post('invoice.paid', {}, { tenant: 'rival' });
  await here.host.post('invoice.paid', { for: 'acme' }, { tenant: 'acme' });
  const [first] = await here.receiver.arrived('/own');
  assert.deepEqual(JSON.parse(first.body), { for: 'acme' });
});

scene('in a frame of an origin that may have it, the link works without a cookie', { key: null, origins: [ALLOWED] }, async (tab) => {
  const { page } = tab;
  const place = `${here.host.url}/?embed=1${(await link()).slice(1)}`;
  await page.goto(`${ALLOWED}/?src=${encodeURIComponent(place)}`);
  const frame = page.frameLocator('iframe');
  await tab.shows(frame.getByRole('heading', { level: 1, name: 'Overview' }));
  assert.equal(await frame.getByRole('button', { name: 'Sign out' }).count(), 0);
  await frame.getByRole('link', { name: 'Deliveries', exact: true }).click();
  await tab.shows(frame.getByRole('row').filter({ hasText: 'invoice.paid' }));
  await here.host.post('invoice.created', {}, { tenant: 'acme' });
  await tab.shows(frame.getByRole('row').filter({ hasText: 'invoice.created' }));
  assert.deepEqual(await tab.context.cookies(), []);
});

scene('another origin may not hold it in a frame', { key: null, origins: [STRANGER] }, async (tab) => {
  const { page } = tab;
  const place = `${here.host.url}/?embed=1${(await link()).slice(1)}`;
  tab.mayFail(/frame-ancestors|ERR_BLOCKED_BY_(CSP|RESPONSE)/);
  await page.goto(`${STRANGER}/?src=${encodeURIComponent(place)}`);
  await until('the frame to be refused', () => tab.forgiven.length > 0);
  assert.equal(await page.frameLocator('iframe').getByRole('heading', { name: 'Overview' }).count(), 0);
});
