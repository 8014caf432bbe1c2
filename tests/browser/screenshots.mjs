// Puts every page, at two widths, light and dark, into a folder: `node screenshots.mjs FOLDER [part of a page's name]`.
// `run` has to have installed the libraries before.

import fs from 'node:fs';
import path from 'node:path';

import { ADMIN_KEY, Host, Receiver, Tab, launch } from './harness.mjs';
import { pages, stage } from './stage.mjs';

const [folder, wanted = ''] = process.argv.slice(2);
if (!folder) {
  console.error('usage: node screenshots.mjs FOLDER [part of a name]');
  process.exit(2);
}
fs.mkdirSync(folder, { recursive: true });

const [host, receiver, browser] = await Promise.all([Host.start(), Receiver.start(), launch()]);
const empty = await Host.start();
try {
  const of = await stage(host, receiver);
  const [{ path: portal }] = [await host.api('POST', '/v1/tenants/acme/portal', {}).catch(() => ({ path: null }))];
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 390]) {
      const shoot = async (tab, name, place) => {
        if (!name.includes(wanted)) return;
        await tab.page.goto('about:blank');
        await tab.page.goto(place.startsWith('/') ? tab.host.url + place : `${tab.host.url}/#/${place}`);
        await tab.settled();
        await tab.page.screenshot({ path: path.join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      };
      const open = (at, key) => Tab.open(browser, at, { key, context: { colorScheme, reducedMotion: 'reduce', viewport: { width, height: width === 390 ? 844 : 900 } } });
      const tab = await open(host, ADMIN_KEY);
      for (const [name, place] of pages(of)) await shoot(tab, name, place);
      const stranger = await open(host, null);
      await shoot(stranger, 'sign-in', 'overview');
      if (portal) await shoot(stranger, 'portal', portal);
      const first = await open(empty, ADMIN_KEY);
      for (const name of ['overview', 'endpoints', 'deliveries', 'bench', 'replays', 'event-types']) await shoot(first, `empty-${name}`, name);
      for (const { context, faults } of [tab, stranger, first]) {
        for (const fault of faults) console.error(fault);
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
  await receiver.stop();
  await host.stop();
  await empty.stop();
}
