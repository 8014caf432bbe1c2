// How the pages do with much to show: `node load.mjs [--short]`. Not a part of the checks, since it takes some minutes.
//
// A host gets 1,000 endpoints and 100,000 deliveries; then 200 events a second arrive. Each page has to be complete within a
// second, and the memory of a tab that shows what arrives has to stay flat for five minutes. `--short`: a tenth of all.

import { ADMIN_KEY, Host, Receiver, Tab, launch, until } from './harness.mjs';

const short = process.argv.includes('--short');
const ENDPOINTS = short ? 100 : 1_000;
const DELIVERIES = short ? 10_000 : 100_000;
const PER_SECOND = 200;
const FLAT_FOR_MS = short ? 60_000 : 300_000;
const WITHIN_MS = 1_000;
/** What the memory may grow by, in bytes a minute, once the page has come to rest. */
const GROWTH = 256 * 1024;
const BATCH = 500;

const [host, receiver, browser] = await Promise.all([Host.start(), Receiver.start(), launch()]);
let failed = false;
const tell = (good, text) => {
  failed ||= !good;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${text}`);
};

const event = (number) => ({ type: `load.type-${number % ENDPOINTS}`, payload: { number, document: { total_amount: 12500.5, doc_url: `https://example.com/${number}` } } });

async function fill() {
  receiver.keeps = false;
  for (let number = 0; number < ENDPOINTS; number += 1) {
    await host.endpoint({ name: `Endpoint ${number}`, url: `${receiver.url}/${number}`, events: [`load.type-${number}`] });
  }
  for (let number = 0; number < DELIVERIES; number += BATCH) {
    await host.api('POST', '/v1/events', Array.from({ length: BATCH }, (_, at) => event(number + at)));
  }
  await until('all to be delivered', async () => (await host.api('GET', '/v1/overview')).totals.delivered >= DELIVERIES, 600_000);
}

/** Posts so many a second until it is told to stop. */
function flood() {
  let number = DELIVERIES;
  let going = true;
  const ended = (async () => {
    const began = Date.now();
    while (going) {
      const due = Math.min(BATCH, Math.floor(((Date.now() - began) / 1000) * PER_SECOND) - (number - DELIVERIES));
      if (due > 0) {
        await host.api('POST', '/v1/events', Array.from({ length: due }, (_, at) => event(number + at)));
        number += due;
      }
      await new Promise((wake) => { setTimeout(wake, 50); });
    }
    return (number - DELIVERIES) / ((Date.now() - began) / 1000);
  })();
  return { stop: () => { going = false; return ended; } };
}

/** The least of memory that is in use: after everything that can be collected was. */
async function heap(client) {
  await client.send('HeapProfiler.collectGarbage');
  const { metrics } = await client.send('Performance.getMetrics');
  return metrics.find(({ name }) => name === 'JSHeapUsedSize').value;
}

/** Bytes a minute, by least squares. */
function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [middle, level] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))];
  const over = points.reduce((sum, [at, value]) => sum + (at - middle) * (value - level), 0);
  return (over / points.reduce((sum, [at]) => sum + (at - middle) ** 2, 0)) * 60_000;
}

async function answers(tab, name, place) {
  await tab.page.goto('about:blank');
  const began = Date.now();
  await tab.page.goto(`${host.url}/#/${place}`);
  await tab.settled();
  const took = Date.now() - began;
  tell(took <= WITHIN_MS, `${name}: complete after ${took} ms`);
}

try {
  console.log(`${ENDPOINTS} endpoints, ${DELIVERIES} deliveries ...`);
  await fill();
  const { items: [endpoint] } = await host.api('GET', '/v1/endpoints?limit=1');
  const { items: [delivery] } = await host.api('GET', '/v1/deliveries?limit=1');
  const arriving = flood();
  const tab = await Tab.open(browser, host, { key: ADMIN_KEY });
  for (const [name, place] of [
    ['overview', 'overview'], ['endpoints', 'endpoints'], ['an endpoint', `endpoints/${endpoint.id}`], ['a new endpoint', 'endpoints/new'],
    ['deliveries', 'deliveries'], ['deliveries that failed', 'deliveries?state=failed'], ['deliveries of an endpoint', `deliveries?endpoint=${endpoint.id}`],
    ['a delivery', `deliveries/${delivery.id}`], ['events', 'deliveries/events'], ['bench', `bench?event=${delivery.event}&endpoint=${endpoint.id}`],
    ['replays', 'replays'], ['plugins', 'plugins'], ['a plugin', 'plugins/flatten'], ['event types', 'event-types'], ['settings', 'settings'],
  ]) await answers(tab, name, place);

  for (const [name, place] of [['deliveries', 'deliveries'], ['overview', 'overview']]) {
    await tab.go(place);
    await tab.settled();
    const client = await tab.context.newCDPSession(tab.page);
    await client.send('Performance.enable');
    await client.send('HeapProfiler.enable');
    const points = [];
    const began = Date.now();
    // The first tenth is left out: caches fill.
    while (Date.now() - began < FLAT_FOR_MS) {
      await new Promise((wake) => { setTimeout(wake, FLAT_FOR_MS / 30); });
      if (Date.now() - began > FLAT_FOR_MS / 10) points.push([Date.now() - began, await heap(client)]);
    }
    const growth = slope(points);
    const [first, last] = [points[0][1], points.at(-1)[1]].map((bytes) => (bytes / 1024 / 1024).toFixed(1));
    tell(growth < GROWTH, `${name}: from ${first} to ${last} MiB in ${FLAT_FOR_MS / 60_000} min, ${(growth / 1024).toFixed(0)} KiB a minute`);
  }
  const rate = await arriving.stop();
  tell(rate > PER_SECOND * 0.9, `${rate.toFixed(0)} events a second arrived meanwhile`);
  tell(tab.faults.length === 0, `the tab's console: ${tab.faults.join('; ') || 'nothing'}`);
} finally {
  await browser.close();
  await receiver.stop();
  await host.stop();
}
process.exit(failed ? 1 : 0);
