// Signing in and out, and what the first view costs.

import assert from 'node:assert/strict';

import { ADMIN_KEY, until, world } from './harness.mjs';

/** Bytes that the first view may take, headers included. */
const FIRST_VIEW = 150_000;

const here = world();
const { scene } = here;

scene('a wrong key is refused in words, the right one opens the overview, and signing out ends it', { key: null }, async (tab) => {
  const { page } = tab;
  tab.mayRefuse(401, /^\/v1\/session$/);
  await page.goto(here.host.url);
  await page.getByLabel('Key').fill('hwk_of-somebody-else');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await tab.shows(page.getByRole('alert'));
  await page.getByLabel('Key').fill(ADMIN_KEY);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await tab.shows(tab.heading('Overview'));

  const [cookie] = await tab.context.cookies();
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, 'Strict');
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script can read the session');
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.ok(!kept.includes(ADMIN_KEY), kept);

  await page.reload();
  await tab.shows(tab.heading('Overview'));
  await page.getByRole('button', { name: 'Sign out' }).click();
  await tab.shows(tab.heading('Sign in to Hookwright'));
  await page.reload();
  await tab.shows(tab.heading('Sign in to Hookwright'));
  // Whoever kept the cookie has nothing of it.
  const answer = await fetch(`${here.host.url}/v1/endpoints`, { headers: { cookie: `${cookie.name}=${cookie.value}` } });
  assert.equal(answer.status, 401);
});

scene('the first view takes less than 150 kB and asks nobody else', async (tab) => {
  const client = await tab.context.newCDPSession(tab.page);
  await client.send('Network.enable');
  let taken = 0;
  client.on('Network.loadingFinished', ({ encodedDataLength }) => { taken += encodedDataLength; });
  await tab.go('overview', 'Overview');
  await tab.shows(tab.page.locator('.stats, .begin'));
  await tab.page.waitForLoadState('networkidle');
  const most = await until('requests to be counted', () => taken);
  assert.ok(most < FIRST_VIEW, `${most} bytes`);
  assert.ok(tab.requests.every((request) => request.url().startsWith(here.host.url)));
});
