// Endpoints: the list and its menu, making one with the mouse and with the keyboard alone, turning it off and on.

import assert from 'node:assert/strict';

import { until, world } from './harness.mjs';

const here = world();
const { scene } = here;

const row = (page, name) => page.getByRole('row').filter({ hasText: name });
const cell = (page, name, head) => row(page, name).locator(`[data-head="${head}"]`);

scene('an endpoint is created, and its secret is shown this once', async (tab) => {
  const { page } = tab;
  await here.host.api('PUT', '/v1/event-types/invoice.paid', { group: 'Invoices', description: 'An invoice was paid.', samples: [{ number: 7 }] });
  await tab.go('endpoints', 'Endpoints');
  await page.getByRole('link', { name: 'Add an endpoint' }).first().click();
  await tab.shows(tab.heading('Add an endpoint'));
  await page.getByLabel('Name', { exact: true }).fill('Ledger');
  tab.mayRefuse(422, /^\/v1\/endpoints$/);
  await page.getByLabel('URL', { exact: true }).fill('http://10.0.0.1/closed');
  await tab.shows(page.getByText(/10\.0\.0\.1/).and(page.locator('.error')));
  await page.getByLabel('URL', { exact: true }).fill(`${here.receiver.url}/ledger`);
  await tab.shows(page.getByText('This URL can be used.'));
  await page.getByRole('checkbox', { name: /invoice\.paid/ }).check();
  await page.getByRole('button', { name: 'Create the endpoint' }).click();

  const dialog = page.getByRole('dialog');
  const secret = await dialog.getByLabel('Signing secret').inputValue();
  assert.match(secret, /^whsec_/);
  const [file] = await Promise.all([page.waitForEvent('download'), dialog.getByRole('button', { name: 'Download' }).click()]);
  assert.equal(file.suggestedFilename(), 'Ledger-secret.txt');
  await dialog.getByRole('button', { name: 'Done' }).click();
  await tab.shows(tab.heading('Ledger'));

  const { items: [made] } = await here.host.api('GET', '/v1/endpoints');
  assert.deepEqual(made.events, ['invoice.paid']);
  await page.reload();
  await tab.shows(tab.heading('Ledger'));
  await page.waitForLoadState('networkidle');
  const shown = await page.evaluate(() => document.documentElement.outerHTML + [...document.querySelectorAll('input')].map((input) => input.value).join());
  assert.ok(!shown.includes(secret), 'the secret is shown again');
});

scene('an endpoint is created with the keyboard alone', async (tab) => {
  const { page } = tab;
  const { keyboard } = page;
  /** Tab after tab until what has the focus is called so, each stop with a focus that can be seen. */
  const reach = async (name) => {
    for (let stops = 0; stops < 80; stops += 1) {
      await keyboard.press('Tab');
      const focused = await page.evaluate(() => {
        const element = document.activeElement;
        const style = getComputedStyle(element.matches('.toggle input') ? element.nextElementSibling : element);
        const named = element.labels?.[0]?.innerText ?? element.getAttribute('aria-label') ?? element.innerText ?? '';
        return { name: named.trim(), seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 };
      });
      if (focused.name) assert.ok(focused.seen, `“${focused.name}” has the focus, and nobody sees it`);
      if (focused.name === name || focused.name.startsWith(`${name} (`)) return;
    }
    assert.fail(`the tab key does not lead to “${name}”`);
  };
  await tab.go('endpoints', 'Endpoints');
  await reach('Add an endpoint');
  await keyboard.press('Enter');
  await tab.shows(tab.heading('Add an endpoint'));
  await reach('Name');
  await keyboard.type('By hand');
  await reach('URL');
  await keyboard.type(`${here.receiver.url}/by-hand`);
  await reach('All events');
  await keyboard.press('Space');
  await reach('Create the endpoint');
  await keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await tab.shows(dialog);
  const secret = dialog.getByLabel('Signing secret');
  await secret.focus();
  await keyboard.press('Control+A');
  await keyboard.press('Control+C');
  await reach('Done');
  await keyboard.press('Enter');
  await tab.shows(tab.heading('By hand'));
  await here.host.post('case.created', {});
  await here.receiver.arrived('/by-hand');
});

scene('what is wrong with a new endpoint is said at the field, and nothing typed is lost', async (tab) => {
  const { page } = tab;
  await tab.go('endpoints/new', 'Add an endpoint');
  await page.getByLabel('Name', { exact: true }).fill('Unfinished');
  await page.getByRole('checkbox', { name: 'All events' }).check();
  tab.mayRefuse(422, /^\/v1\/endpoints$/);
  await page.getByRole('button', { name: 'Create the endpoint' }).click();
  await tab.shows(page.locator('.field').filter({ has: page.getByLabel('URL', { exact: true }) }).locator('.error'));
  assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'Unfinished');

  const asked = new Promise((found) => { page.once('dialog', (dialog) => { found(dialog.message()); dialog.dismiss(); }); });
  await page.getByRole('link', { name: 'Overview' }).click();
  assert.match(await asked, /not saved/);
  assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'Unfinished');
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('link', { name: 'Overview' }).click();
  await tab.shows(tab.heading('Overview'));
});

scene('k1_list', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  await host.endpoint({ name: 'Listed', url: `${receiver.url}/listed`, events: ['record.created', 'record.updated'] });
  const { id } = await host.post('record.created', { id: 1 });
  await host.delivery(id, 'delivered');
  await tab.go('endpoints', 'Endpoints');
  await tab.shows(row(page, 'Listed'));
  await tab.says(cell(page, 'Listed', 'Name'), 'Listed');
  await tab.says(cell(page, 'Listed', 'Events'), '2 events');
  await tab.says(cell(page, 'Listed', 'Last event'), /ago|now|sec/);
  await tab.says(cell(page, 'Listed', 'Created'), /ago|now|sec/);
  const days = cell(page, 'Listed', 'Last 7 days').getByRole('img');
  const told = await days.getAttribute('aria-label');
  assert.equal(told.split('; ').length, 7, told);
  assert.match(told.split('; ')[6], /: 1, of which failed 0/);

  const toggle = page.getByRole('switch', { name: '“Listed” is enabled' });
  await toggle.click({ force: true });
  await tab.says(cell(page, 'Listed', 'Status'), 'disabled');
  await toggle.click({ force: true });
  await tab.says(cell(page, 'Listed', 'Status'), 'active');

  await page.getByRole('button', { name: 'What to do with “Listed”' }).click();
  for (const item of ['Edit', 'Send a test event', 'Rotate the secret', 'Its deliveries', 'Delete']) {
    await tab.shows(page.getByRole('menuitem', { name: item }));
  }
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  await tab.shows(tab.heading('Edit the endpoint'));
});

scene('r1_list', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  receiver.answer('/broken', { status: 500, body: 'no' });
  await host.endpoint({ name: 'Sound', url: `${receiver.url}/sound`, events: ['payment.*'] });
  await host.endpoint({ name: 'Broken', url: `${receiver.url}/broken`, events: ['payment.*', 'refund.*', 'dispute.*'], retry: { attempts: 1 } });
  await host.endpoint({ name: 'Resting', url: `${receiver.url}/resting`, events: ['payout.*'], enabled: false });
  await host.post('payment.succeeded', { amount: 12 });
  await until('both to be told', async () => {
    const { items } = await host.api('GET', '/v1/endpoints');
    return items.find(({ name }) => name === 'Sound').last_delivery_at && items.find(({ name }) => name === 'Broken').status === 'failing';
  });
  await tab.go('endpoints', 'Endpoints');
  await tab.says(cell(page, 'Sound', 'Name'), '127.0.0.1');
  await tab.says(cell(page, 'Sound', 'Status'), 'active');
  await tab.says(cell(page, 'Sound', 'Success'), '100 %');
  await tab.says(cell(page, 'Sound', 'Last delivery'), /ago|now|sec/);
  await tab.says(cell(page, 'Broken', 'Status'), 'failing');
  await tab.says(cell(page, 'Broken', 'Success'), '0.0 %');
  await tab.says(cell(page, 'Broken', 'Events'), '3 events');
  await tab.says(cell(page, 'Resting', 'Status'), 'disabled');
  await tab.says(cell(page, 'Resting', 'Last delivery'), 'never');

  await page.getByLabel('Status').selectOption('failing');
  await tab.gone(row(page, 'Sound'));
  await tab.shows(row(page, 'Broken'));
  assert.match(page.url(), /status=failing/, 'the address holds the filter');
  await page.reload();
  await tab.shows(row(page, 'Broken'));
  assert.equal(await row(page, 'Sound').count(), 0);
});

scene('r9_delete_with_confirmation', async (tab) => {
  const { page } = tab;
  const { id } = await here.host.endpoint({ name: 'Doomed', url: `${here.receiver.url}/doomed`, events: ['case.closed'] });
  await tab.go('endpoints', 'Endpoints');
  const ask = async () => {
    await page.getByRole('button', { name: 'What to do with “Doomed”' }).click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await tab.shows(page.getByRole('dialog', { name: 'Delete “Doomed”?' }));
  };
  await ask();
  await page.getByRole('dialog').getByRole('button', { name: 'Keep' }).click();
  await tab.gone(page.getByRole('dialog'));
  assert.equal((await here.host.api('GET', `/v1/endpoints/${id}`)).name, 'Doomed');
  await ask();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await tab.gone(row(page, 'Doomed'));
  await assert.rejects(here.host.api('GET', `/v1/endpoints/${id}`), /404/);
});

scene('disabled, its events are held; enabled, they are delivered', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  const endpoint = await host.endpoint({ name: 'Pausing', url: `${receiver.url}/pausing`, events: ['folder.created'] });
  await tab.go(`endpoints/${endpoint.id}`, 'Pausing');
  await page.getByRole('switch', { name: 'Enabled' }).click({ force: true });
  await tab.shows(page.getByText('“Pausing” is disabled. Its events wait.'));
  const { id } = await host.post('folder.created', { name: 'Contracts' });
  await tab.go(`deliveries?endpoint=${endpoint.id}`, 'Deliveries');
  await tab.says(row(page, 'folder.created'), 'held');
  assert.equal(receiver.at('/pausing').length, 0);

  await tab.go(`endpoints/${endpoint.id}`, 'Pausing');
  await page.getByRole('switch', { name: 'Enabled' }).click({ force: true });
  const dialog = page.getByRole('dialog', { name: 'Enable “Pausing”?' });
  await tab.says(dialog, '1 delivery waits');
  await dialog.getByLabel('Deliver them now').check();
  await dialog.getByRole('button', { name: 'Enable' }).click();
  await tab.gone(dialog);
  await receiver.arrived('/pausing');
  await host.delivery(id, 'delivered');
  await tab.go(`deliveries?endpoint=${endpoint.id}`, 'Deliveries');
  await tab.says(row(page, 'folder.created'), 'delivered');
});
