// Signing in and out, and what the first view costs.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { ADMIN_KEY, ROOT, until, world } from './harness.mjs';

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

scene('a session that ends in the middle of a form takes nothing of it along', async (tab) => {
  const { page } = tab;
  await tab.go('endpoints/new', 'Add an endpoint');
  await tab.settled();
  await page.getByLabel('Name', { exact: true }).fill('Half done');
  tab.mayRefuse(401, /^\/v1\//);
  await tab.context.clearCookies();
  await page.getByLabel('URL', { exact: true }).fill('https://example.com/half');
  const dialog = page.getByRole('dialog', { name: 'The session has ended' });
  await dialog.getByLabel('Key').fill(ADMIN_KEY);
  await dialog.getByRole('button', { name: 'Sign in' }).click();
  await tab.gone(dialog);
  assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'Half done');
  assert.equal(await page.getByLabel('URL', { exact: true }).inputValue(), 'https://example.com/half');

  // Signing out asks as any other way of leaving does.
  page.once('dialog', (question) => question.dismiss());
  await page.getByRole('button', { name: 'Sign out' }).click();
  await tab.shows(tab.heading('Add an endpoint'));
  page.once('dialog', (question) => question.accept());
  await page.getByRole('button', { name: 'Sign out' }).click();
  await tab.shows(tab.heading('Sign in to Hookwright'));
});

/** A module and all that it imports at its start, by their names below the dashboard's folder. */
function importsOf(file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = fs.readFileSync(path.join(ROOT, 'host/dashboard', file), 'utf8');
  for (const [, place] of text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)'/gm)) importsOf(path.join(path.dirname(file), place), seen);
  return seen;
}

scene('all modules of a page are fetched at once, and none that it does not need', async (tab) => {
  await tab.go('overview', 'Overview');
  const told = await tab.page.evaluate(async () => {
    const { PAGES, modulesOf } = await import('/dashboard/lib/modules.js');
    return PAGES.map((page) => [page, modulesOf(page)]);
  });
  const common = importsOf('app.js');
  const index = fs.readFileSync(path.join(ROOT, 'host/dashboard/index.html'), 'utf8');
  for (const file of common) assert.ok(index.includes(`"/dashboard/${file}"`), `index.html does not name ${file}`);
  const files = fs.readdirSync(path.join(ROOT, 'host/dashboard/pages')).filter((name) => name.endsWith('.js') && name !== 'sign-in.js');
  for (const file of files) assert.ok(told.some(([page]) => `${page}.js` === file), `modules.js does not know ${file}`);
  const form = new Map(told).get('endpoints');
  for (const [page, modules] of told) {
    const here = page === 'endpoints/edit' ? form : [];
    const needed = [...importsOf(modules[0])].filter((file) => !common.has(file) && !here.includes(file));
    assert.deepEqual([...modules].sort(), needed.sort(), page);
  }
});
