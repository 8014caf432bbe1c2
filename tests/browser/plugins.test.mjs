// Plugins: a new version is uploaded, takes effect, and is rolled back.

import assert from 'node:assert/strict';

import { bundled, rebuilt, world } from './harness.mjs';

const here = world();
const { scene } = here;

scene('a plugin is uploaded, becomes active, and is rolled back', async (tab) => {
  const { page } = tab;
  const { host } = here;
  const active = async () => (await host.api('GET', '/v1/plugins/flatten')).digest;
  const first = await active();
  await tab.go('plugins', 'Plugins');
  await tab.shows(page.getByRole('link', { name: 'flatten', exact: true }));
  await page.locator('input[type=file]').setInputFiles({ name: 'flatten.wasm', mimeType: 'application/wasm', buffer: rebuilt(bundled('flatten'), 'another build') });
  const dialog = page.getByRole('dialog', { name: 'Upload a plugin' });
  await tab.says(dialog, 'It can be taken up.');
  assert.equal(await active(), first, 'looking at it changes nothing');
  await dialog.getByRole('button', { name: 'Upload and activate' }).click();
  await tab.gone(dialog);
  await tab.shows(tab.heading('flatten'));
  const second = await active();
  assert.notEqual(second, first);
  await tab.says(page.locator('main'), second.slice(0, 12));

  await page.getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await tab.gone(page.getByRole('dialog'));
  await tab.shows(page.getByText(/flatten .* is active again/));
  assert.equal(await active(), first);
  await tab.says(page.locator('main'), 'a roll-back');
});

scene('a file that is no plugin is refused in words, and changes nothing', async (tab) => {
  const { page } = tab;
  const before = await here.host.api('GET', '/v1/plugins/filter');
  await tab.go('plugins', 'Plugins');
  tab.mayRefuse(422, /^\/v1\/plugins\/filter$/);
  await page.locator('input[type=file]').setInputFiles({ name: 'filter.wasm', mimeType: 'application/wasm', buffer: Buffer.from('no component') });
  const dialog = page.getByRole('dialog', { name: 'Upload a plugin' });
  await tab.shows(dialog.getByRole('alert'));
  assert.equal(await dialog.getByRole('button', { name: 'Upload and activate' }).isDisabled(), true);
  await dialog.getByRole('button', { name: 'Leave it' }).click();
  assert.deepEqual(await here.host.api('GET', '/v1/plugins/filter'), before);
});
