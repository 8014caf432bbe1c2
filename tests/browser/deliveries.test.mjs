// Deliveries: they come by themselves, and a failure is understood, mended and delivered again.

import assert from 'node:assert/strict';

import { world } from './harness.mjs';

const here = world();
const { scene } = here;

const row = (page, name) => page.getByRole('row').filter({ hasText: name });
const cell = (page, name, head) => row(page, name).locator(`[data-head="${head}"]`);

scene('an event that is posted arrives on the page by itself', async (tab) => {
  const { page } = tab;
  await here.host.endpoint({ name: 'Watched', url: `${here.receiver.url}/watched`, events: ['contact.created'] });
  await tab.go('deliveries', 'Deliveries');
  await tab.shows(page.getByText('Live', { exact: true }));
  assert.equal(await row(page, 'contact.created').count(), 0);
  await here.host.post('contact.created', { name: 'Acme' });
  await tab.says(row(page, 'contact.created'), 'delivered');
  await tab.says(row(page, 'contact.created'), 'Watched');

  await page.getByRole('button', { name: 'Pause' }).click();
  await here.host.post('contact.created', { name: 'Beta' });
  await page.getByRole('button', { name: '1 new, show' }).click();
  await tab.gone(page.getByRole('button', { name: /new, show/ }));
  assert.equal(await row(page, 'contact.created').count(), 2);
});

scene('a failing receiver: its grouped error and hint, the mending, the replay', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  receiver.answer('/crm', { status: 401, body: 'token expired' });
  const endpoint = await host.endpoint({ name: 'CRM', url: `${receiver.url}/crm`, events: ['lead.captured'], retry: { attempts: 1 } });
  for (const email of ['one@example.com', 'other@example.com']) {
    const { id } = await host.post('lead.captured', { email });
    await host.delivery(id, 'failed');
  }
  const { items: [group] } = await host.api('GET', `/v1/errors?endpoint=${endpoint.id}`);

  await tab.go('overview', 'Overview');
  const errors = page.getByRole('region', { name: 'Recent errors' });
  const shown = errors.getByRole('row').filter({ hasText: 'CRM' });
  await tab.says(shown, group.title);
  await tab.says(shown, group.hint.replaceAll('`', ''));
  await tab.says(shown.locator('[data-head="Times"]'), '2');
  await tab.says(shown.locator('[data-head="Last message"]'), '401');
  await shown.getByRole('link', { name: 'CRM' }).click();
  await tab.shows(tab.heading('CRM'));
  await tab.shows(page.getByText('failing', { exact: true }));

  receiver.answer('/crm', { status: 200, body: 'thanks' });
  await tab.go(`deliveries?endpoint=${endpoint.id}&state=failed`, 'Deliveries');
  await tab.shows(row(page, 'lead.captured'));
  await row(page, 'lead.captured').first().getByRole('link', { name: 'lead.captured' }).click();
  await tab.shows(tab.heading('lead.captured'));
  await tab.says(page.locator('main'), 'token expired');
  await page.getByRole('button', { name: 'Replay' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click();
  await tab.shows(page.getByText('Replay of'));
  await tab.says(page.locator('main'), 'delivered');
  await tab.says(page.locator('main'), 'thanks');

  // What is left, all at once.
  await tab.go(`deliveries?endpoint=${endpoint.id}&state=failed`, 'Deliveries');
  await page.getByRole('button', { name: 'Deliver again all that fit' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Deliver again' }).click();
  await tab.shows(page.locator('h1'));
  await tab.says(page.locator('main'), /done/);
  // It is made, and on its way.
  await receiver.arrived('/crm', 4);
  const [first, ...rest] = receiver.at('/crm').map(({ headers }) => headers['webhook-id']);
  assert.equal(rest.length, 3);
  assert.deepEqual(new Set(rest.slice(1)), new Set([first, rest[0]]), 'a replay keeps the webhook-id');
});

scene('r7_log', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  receiver.answer('/log', { status: 202, headers: { 'content-type': 'application/json' }, body: '{"accepted":true,"total":12500.00}' });
  await host.endpoint({ name: 'Logged', url: `${receiver.url}/log`, events: ['invoice.created'] });
  const { id } = await host.api('POST', '/v1/events', '{"type":"invoice.created","payload":{"total":99.50,"number":12345678901234567890}}');
  const { id: delivery } = await host.delivery(id, 'delivered');
  await tab.go('endpoints', 'Endpoints');
  await page.getByRole('button', { name: 'What to do with “Logged”' }).click();
  await page.getByRole('menuitem', { name: 'Its deliveries' }).click();
  await tab.shows(tab.heading('Deliveries'));
  await tab.shows(row(page, 'invoice.created'));
  assert.equal(await page.locator('tbody tr').count(), 1, 'those of this endpoint alone');
  await tab.says(cell(page, 'invoice.created', 'State'), 'delivered');
  const at = await cell(page, 'invoice.created', 'Created').locator('time').getAttribute('title');
  assert.match(at, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/, 'UTC at hand');

  await row(page, 'invoice.created').getByRole('link', { name: 'invoice.created' }).click();
  await tab.shows(tab.heading('invoice.created'));
  assert.match(page.url(), new RegExp(delivery));
  const attempt = page.locator('.attempt');
  await tab.says(attempt, '202');
  await tab.says(attempt, /\d ?(ms|s|µs)/);
  await tab.says(page.getByLabel('Body of the request'), '12345678901234567890');
  await tab.says(page.getByLabel('Body of the request'), '99.50');
  await tab.says(page.getByLabel('Body of the response'), '12500.00');
  await tab.says(attempt, 'webhook-signature');

  await tab.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: here.host.url });
  await page.getByRole('button', { name: 'Copy as curl' }).click();
  await tab.shows(page.getByText('Copied.'));
  const command = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(command, /^curl --request 'POST'/);
  assert.ok(command.includes('12345678901234567890'));
});

scene('what waits is retried now, or given up', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  receiver.answer('/slow', { status: 503, body: 'later' });
  await host.endpoint({ name: 'Slow', url: `${receiver.url}/slow`, events: ['sync.completed'], retry: { every: '1h' } });
  const { id } = await host.post('sync.completed', {});
  await receiver.arrived('/slow');
  const { id: delivery } = await host.delivery(id, 'pending');
  await tab.go(`deliveries/${delivery}`, 'sync.completed');
  await tab.says(page.locator('main'), 'later');
  receiver.answer('/slow', { status: 200 });
  await page.getByRole('button', { name: 'Retry now' }).click();
  await tab.says(page.locator('main'), 'Attempt 2');
  await tab.shows(page.getByRole('button', { name: 'Replay' }));

  receiver.answer('/slow', { status: 503 });
  const { id: other } = await host.post('sync.completed', {});
  await receiver.arrived('/slow', 3);
  const { id: pending } = await host.delivery(other, 'pending');
  await tab.go(`deliveries/${pending}`, 'sync.completed');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the delivery' }).click();
  await tab.says(page.locator('main'), 'cancelled');
});
