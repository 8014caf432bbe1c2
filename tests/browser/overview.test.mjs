// The overview: what was delivered and what was not, how fast the answers were, what fails and why.

import assert from 'node:assert/strict';

import { until, world } from './harness.mjs';

const here = world();
const { scene } = here;

const stat = (page, label) => page.locator('.stats > .stat').filter({ has: page.locator('dt', { hasText: new RegExp(`^${label}$`) }) });

scene('an empty host says what to do first', async (tab) => {
  await tab.go('overview', 'Overview');
  await tab.shows(tab.page.getByRole('heading', { name: 'Send your first event' }));
  await tab.page.getByRole('link', { name: 'Add an endpoint' }).click();
  await tab.shows(tab.heading('Add an endpoint'));
});

scene('k2_overview', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  receiver.answer('/bad', { status: 404, body: 'nobody here' });
  await host.endpoint({ name: 'Good', url: `${receiver.url}/good`, events: ['record.created'] });
  await host.endpoint({ name: 'Bad', url: `${receiver.url}/bad`, events: ['record.updated'], retry: { attempts: 1 } });
  for (let number = 0; number < 3; number += 1) await host.post('record.created', { number });
  await host.post('record.updated', {});
  await until('all to be counted', async () => {
    const { totals } = await host.api('GET', '/v1/overview');
    return totals.delivered === 3 && totals.failed === 1;
  });
  await tab.go('overview', 'Overview');
  await tab.says(stat(page, 'Delivered'), '3');
  await tab.says(stat(page, 'Failed'), '1');
  await tab.says(stat(page, 'Success rate'), '75');
  for (const label of ['Min', 'Average', 'Max']) await tab.says(stat(page, label), /\d (µs|ms|s)/);

  // Over time: drawn, and in a table for those who do not see it.
  await tab.shows(page.locator('.chart canvas'));
  const counts = page.getByRole('table', { name: 'Deliveries over time' });
  const rows = await counts.locator('tbody tr').evaluateAll((found) => found.map((one) => [...one.cells].map((part) => part.textContent.trim())));
  const sum = (column) => rows.reduce((total, cells) => total + (Number(cells[column]) || 0), 0);
  assert.equal(sum(1), 3);
  assert.equal(sum(2), 1);

  const errors = page.getByRole('region', { name: 'Recent errors' });
  await tab.says(errors, 'Bad');
  await tab.says(errors, '404');
  await tab.shows(page.getByRole('heading', { name: 'Warnings' }));

  for (const span of ['Hour', 'Week', 'Day']) {
    await page.getByRole('radio', { name: span }).check({ force: true });
    await tab.says(stat(page, 'Delivered'), '3');
  }
});

scene('offline, nothing is delivered; online again, what waited is', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  await host.endpoint({ name: 'Waiting', url: `${receiver.url}/waiting`, events: ['folder.created'] });
  await tab.go('overview', 'Overview');
  await page.getByRole('switch', { name: 'Offline' }).click({ force: true });
  await page.getByRole('dialog').getByRole('button', { name: 'Go offline' }).click();
  await tab.says(page.locator('.banner'), 'The host is offline');
  const { id } = await host.post('folder.created', {});
  assert.equal((await host.delivery(id, 'pending')).held, true);
  assert.deepEqual(receiver.at('/waiting'), []);
  await page.getByRole('switch', { name: 'Offline' }).click({ force: true });
  await page.getByRole('dialog').getByRole('button', { name: 'Go online' }).click();
  await tab.gone(page.locator('.banner'));
  await receiver.arrived('/waiting');
});
