// What axe-core finds on every page, light and dark, wide and narrow.

import assert from 'node:assert/strict';

import { world } from './harness.mjs';
import { pages, stage } from './stage.mjs';

let of;
const here = world({ prepare: async ({ host, receiver }) => { of = await stage(host, receiver); } });
const { scene } = here;

async function judge(tab, name, found) {
  const violations = await tab.violations();
  found.push(...violations.map((line) => `${name}: ${line}`));
}

for (const colorScheme of ['light', 'dark']) {
  scene(`no page has a serious violation, ${colorScheme}`, { context: { colorScheme, reducedMotion: 'reduce' } }, async (tab) => {
    const found = [];
    for (const [name, place] of pages(of)) {
      await tab.go(place);
      await tab.settled();
      await judge(tab, name, found);
    }
    assert.deepEqual(found, []);
  });

  scene(`no dialog or menu has a serious violation, ${colorScheme}`, { context: { colorScheme, reducedMotion: 'reduce' } }, async (tab) => {
    const { page } = tab;
    const found = [];
    const menu = page.getByRole('button', { name: 'What to do with “Ledger”' });
    for (const item of ['Send a test event', 'Rotate the secret', 'Delete']) {
      await tab.go('endpoints', 'Endpoints');
      await menu.click();
      await judge(tab, 'the menu', found);
      await page.getByRole('menuitem', { name: item }).click();
      await tab.shows(page.getByRole('dialog'));
      await tab.settled();
      await judge(tab, item, found);
      await page.keyboard.press('Escape');
    }
    for (const [place, button] of [['deliveries', 'Post an event'], ['replays', 'Deliver again'], [`deliveries/${of.failed}`, 'Replay']]) {
      await tab.go(place);
      await page.getByRole('button', { name: button }).first().click();
      await tab.shows(page.getByRole('dialog'));
      await tab.settled();
      await judge(tab, button, found);
      await page.keyboard.press('Escape');
      await tab.gone(page.getByRole('dialog'));
    }
    assert.deepEqual([...new Set(found)], []);
  });
}

scene('the page to sign in has no serious violation', { key: null }, async (tab) => {
  await tab.page.goto(here.host.url);
  await tab.shows(tab.heading('Sign in to Hookwright'));
  assert.deepEqual(await tab.violations(), []);
});

scene('no page is wider than a narrow screen', { context: { viewport: { width: 390, height: 844 }, hasTouch: true } }, async (tab) => {
  const wide = [];
  for (const [name, place] of pages(of)) {
    await tab.go(place);
    await tab.settled();
    const over = await tab.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) wide.push(`${name}: ${over} px`);
  }
  assert.deepEqual(wide, []);
  await tab.page.getByRole('button', { name: 'Menu' }).click();
  await tab.page.getByRole('link', { name: 'Endpoints', exact: true }).click();
  await tab.shows(tab.heading('Endpoints'));
});
