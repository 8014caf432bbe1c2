// The bench: a payload, a chain and what comes of them, as one types.

import assert from 'node:assert/strict';

import { world } from './harness.mjs';
import { catalogue, putCatalogue } from './stage.mjs';

const here = world({ prepare: ({ host }) => putCatalogue(host, 'recordengine') });
const { scene } = here;

const link = (page, index, name) => page.getByRole('article', { name: `Link ${index}: ${name}` });
const result = (page) => page.locator('.bench-result');

async function addLink(tab, name) {
  const { page } = tab;
  await page.getByRole('button', { name: 'Add a link' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a link' });
  await dialog.getByLabel('Search plugins').fill(name);
  await dialog.getByRole('listitem').getByRole('button', { name: new RegExp(`^${name} `) }).click();
  await tab.gone(dialog);
}

scene('document.exported is shaped for Slack, seen as Slack shows it, saved, and watched as it arrives', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  const endpoint = await host.endpoint({ name: 'Team channel', url: `${receiver.url}/slack`, events: ['document.exported'] });
  await tab.go('bench', 'Bench');
  await page.getByLabel('Event type').selectOption('document.exported');
  await page.getByLabel('Endpoint', { exact: true }).selectOption({ label: 'Team channel' });
  // Half of a field is refused until the other half is typed.
  tab.mayRefuse(422, /^\/v1\/transform$/);
  await addLink(tab, 'slack');
  const slack = link(page, 1, 'slack');
  await slack.getByLabel(/^title/).fill('Invoice {document.invoice_number}');
  await slack.getByRole('button', { name: 'fields', exact: true }).click();
  await slack.getByLabel(/^label/).fill('Total');
  await slack.getByLabel(/^value/).fill('{document.total_amount} {document.currency}');

  const preview = page.locator('.chat-slack');
  await tab.says(preview, 'Invoice INV-2026-0042');
  await tab.says(preview, '12500.00 CNY');
  await result(page).getByRole('tab', { name: 'Body' }).click();
  await tab.says(result(page).getByLabel('Body of the request'), '"blocks"');
  await result(page).getByRole('tab', { name: /^Headers/ }).click();
  await tab.says(result(page), 'webhook-signature');
  assert.equal(receiver.at('/slack').length, 0, 'nothing is sent from the bench');

  await page.getByRole('button', { name: 'Save to this endpoint' }).click();
  await tab.shows(page.getByText('Saved. Team channel shapes its next attempts so.'));
  await tab.go(`deliveries?endpoint=${endpoint.id}`, 'Deliveries');
  await tab.shows(page.getByText('Live', { exact: true }));
  const { samples: [sample] } = catalogue('recordengine').find(({ name }) => name === 'document.exported');
  await host.api('POST', '/v1/events', `{"type":"document.exported","payload":${sample}}`);
  const row = page.getByRole('row').filter({ hasText: 'document.exported' });
  await tab.says(row, 'delivered');
  const [arrival] = await receiver.arrived('/slack');
  const message = JSON.parse(arrival.body);
  assert.equal(message.text, 'Invoice INV-2026-0042');
  assert.match(JSON.stringify(message.blocks), /12500\.00 CNY/);
  await row.getByRole('link', { name: 'document.exported' }).click();
  await tab.says(page.getByLabel('Body of the request'), '12500.00 CNY');
});

scene('an error in a script is shown at its line, and the result follows as it is mended', async (tab) => {
  const { page } = tab;
  await tab.go('bench?type=contact.created', 'Bench');
  // A script without code is refused, and so is half of one.
  tab.mayRefuse(422, /^\/v1\/transform$/);
  await addLink(tab, 'script');
  const code = link(page, 1, 'script').locator('.editor textarea');
  await code.fill('function handler(webhook) {\n  webhook.payload = { who: webhook.payload.name };\n  return webhook.;\n}');
  await tab.says(link(page, 1, 'script'), /line 3/i);
  await code.fill('function handler(webhook) {\n  console.log("seen " + webhook.eventType);\n  webhook.payload = { who: webhook.payload.name };\n  return webhook;\n}');
  await result(page).getByRole('tab', { name: 'Request' }).click();
  await tab.says(result(page), '"who": "Acme Supplies Ltd"');
  await result(page).getByRole('tab', { name: '1 script' }).click();
  await tab.says(result(page), 'seen contact.created');
  await code.fill('function handler(webhook) { webhook.cancel = "not today"; return webhook; }');
  await tab.says(result(page), 'Nothing is sent');
  await tab.says(result(page), 'not today');
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('link', { name: 'Overview' }).click();
  await tab.shows(tab.heading('Overview'));
});

scene('a payload is written by hand, keeps its digits, and is told where it is no JSON', async (tab) => {
  const { page } = tab;
  await tab.go('bench', 'Bench');
  await tab.settled();
  await page.getByRole('tab', { name: 'Own' }).click();
  await page.locator('#bench-payload').fill('{"n": 12345678901234567890.10}');
  await result(page).getByRole('tab', { name: 'Body' }).click();
  await tab.says(result(page), '12345678901234567890.10');
  await page.locator('#bench-payload').fill('{"n": }');
  await tab.says(page.locator('.bench'), /line 1, column 7/);
  await page.locator('#bench-payload').fill(`${'['.repeat(10_000)}${']'.repeat(10_000)}`);
  tab.mayRefuse(400, /^\/v1\/transform$/);
  tab.mayRefuse(422, /^\/v1\/transform$/);
  await tab.shows(result(page).getByRole('alert'));
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('link', { name: 'Overview' }).click();
  await tab.shows(tab.heading('Overview'));
});

scene('a chain goes on to a new endpoint', async (tab) => {
  const { page } = tab;
  await tab.go('bench', 'Bench');
  await tab.settled();
  await addLink(tab, 'flatten');
  await tab.shows(result(page).getByText('Would be sent'));
  await page.getByRole('button', { name: 'New endpoint with this chain' }).click();
  await tab.shows(tab.heading('Add an endpoint'));
  await tab.shows(link(page, 1, 'flatten'));
  await page.getByLabel('Name', { exact: true }).fill('Sheet');
  await page.getByLabel('URL', { exact: true }).fill(`${here.receiver.url}/sheet`);
  await page.getByRole('checkbox', { name: 'All events' }).check();
  await page.getByRole('button', { name: 'Create the endpoint' }).click();
  await tab.shows(page.getByRole('dialog').getByLabel('Signing secret'));
  await here.host.post('case.created', { case: { id: 1 } });
  const [arrival] = await here.receiver.arrived('/sheet');
  assert.deepEqual(JSON.parse(arrival.body), { 'case.id': 1 });
});

scene('a backtest runs another configuration on stored events, and its differences are read', async (tab) => {
  const { page } = tab;
  const { host, receiver } = here;
  const endpoint = await host.endpoint({ name: 'Rows', url: `${receiver.url}/rows`, events: ['record.created'], transforms: [{ plugin: 'flatten', config: {} }] });
  const posted = await host.post('record.created', { record: { id: 7, total: 99.5 } });
  await host.post('record.created', { id: 8 });
  await receiver.arrived('/rows', 2);
  await tab.go(`bench?event=${posted.id}&endpoint=${endpoint.id}`, 'Bench');
  await tab.settled();
  await link(page, 1, 'flatten').getByLabel(/^separator/i).fill('_');
  await page.getByRole('button', { name: 'Run a backtest' }).click();
  const dialog = page.getByRole('dialog', { name: 'Backtest' });
  await tab.shows(dialog.getByLabel('A configuration as it is here now'));
  await dialog.getByLabel(/^Events of each endpoint/).fill('many');
  tab.mayRefuse(422, /^\/v1\/plugins\/flatten\/backtest$/);
  await dialog.getByRole('button', { name: 'Run', exact: true }).click();
  await tab.shows(dialog.locator('.field.wrong'));
  await dialog.getByLabel(/^Events of each endpoint/).fill('100');
  await dialog.getByRole('button', { name: 'Run', exact: true }).click();

  await tab.says(dialog.locator('.bench-head'), 'done');
  const count = (word) => dialog.locator('.stat').filter({ has: page.locator('dt', { hasText: new RegExp(`^${word}$`) }) });
  await tab.says(count('Events'), '2');
  await tab.says(count('Same'), '1');
  await tab.says(count('Changed'), '1');
  const difference = dialog.getByLabel('Difference');
  await tab.says(difference.locator('del').last(), 'record.total');
  await tab.says(difference.locator('ins').last(), 'record_total');
  assert.equal(receiver.at('/rows').length, 2, 'a backtest sends nothing');
  assert.deepEqual((await host.api('GET', `/v1/endpoints/${endpoint.id}`)).transforms[0].config, {}, 'and changes nothing');

  await dialog.getByRole('button', { name: 'Another one' }).click();
  await tab.shows(dialog.getByRole('button', { name: 'flatten configured' }));
  await dialog.getByRole('button', { name: 'Close' }).click();
  await tab.gone(dialog);
  page.once('dialog', (question) => question.accept());
  await page.getByRole('link', { name: 'Overview' }).click();
  await tab.shows(tab.heading('Overview'));
});
