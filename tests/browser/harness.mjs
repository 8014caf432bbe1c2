// What the browser tests stand on: the real binary, a real receiver, and a browser that notes everything that goes wrong.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
export const ROOT = path.resolve(HERE, '../..');
export const TARGET = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
/** Where `run` has installed the libraries. */
const library = createRequire(path.join(TARGET, 'browser/package.json'));
const { chromium } = library('playwright-core');
const AXE = fs.readFileSync(library.resolve('axe-core/axe.min.js'), 'utf8');

const BINARY = process.env.HOOKWRIGHT_UNDER_TEST ?? path.join(TARGET, 'debug/hookwright-under-test');
const CHROMIUM = process.env.HOOKWRIGHT_CHROMIUM ?? '/usr/bin/chromium';
/** Compiled plugins that earlier hosts left, so that not each compiles them anew. */
const COMPILED = path.join(TARGET, 'browser/compiled');

export const ADMIN_KEY = 'hwk_of-the-browser-tests';
/** How long a host may take to start, where it has to compile all plugins, and anything on a page to come about, in milliseconds. */
const START_MS = 240_000;
export const PATIENCE_MS = 60_000;

/** Asks until the answer is neither null, undefined nor false. What `look` throws counts as "not yet" and is told at the end. */
export async function until(what, look, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  let last;
  for (;;) {
    try {
      const found = await look();
      if (found !== null && found !== undefined && found !== false) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${patience} ms in vain for ${what}`, { cause: last });
    await new Promise((wake) => { setTimeout(wake, 25); });
  }
}

/* The host */

export class Host {
  /** `settings`: by the names of their variables, without the prefix. */
  static async start({ settings = {} } = {}) {
    const host = new Host();
    host.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hookwright-browser-'));
    const data = path.join(host.folder, 'data');
    fs.mkdirSync(data, { mode: 0o700 });
    copyCompiled(COMPILED, path.join(data, 'cache'));
    const variables = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`HOOKWRIGHT_${name}`, String(value)]));
    const outside = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HOOKWRIGHT_')));
    const log = fs.openSync(path.join(host.folder, 'log'), 'w');
    host.child = spawn(BINARY, ['serve', '--listen', '127.0.0.1:0', '--allow-target', '127.0.0.0/8', '--data-dir', data], {
      env: { ...outside, HOOKWRIGHT_LOG_FILTER: 'warn', ...variables, HOOKWRIGHT_ADMIN_KEY: ADMIN_KEY },
      stdio: ['ignore', 'pipe', log],
    });
    fs.closeSync(log);
    host.ended = new Promise((done) => { host.child.once('exit', done); host.child.once('error', done); });
    const lines = readline.createInterface({ input: host.child.stdout });
    const first = new Promise((found) => { lines.once('line', found); });
    const line = await Promise.race([first, host.ended.then(() => null), timeout(START_MS)]);
    const address = /https?:\/\/[^\s/]+/.exec(line ?? '')?.[0];
    if (!address) {
      host.child.kill('SIGKILL');
      throw new Error(`the host does not listen: ${line}\n${fs.readFileSync(path.join(host.folder, 'log'), 'utf8')}`);
    }
    host.url = address;
    await until('the host to be ready', async () => (await fetch(`${host.url}/readyz`, { headers: bearer(ADMIN_KEY) })).ok, START_MS);
    return host;
  }

  async stop() {
    this.child.kill('SIGTERM');
    if (await Promise.race([this.ended.then(() => 'ended'), timeout(PATIENCE_MS)]) !== 'ended') this.child.kill('SIGKILL');
    await this.ended;
    copyCompiled(path.join(this.folder, 'data/cache'), COMPILED);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  /** Asks the interface; what is refused throws. `body`: what becomes JSON, or a text that is JSON already. */
  async api(method, place, body, { key = ADMIN_KEY, type = 'application/json' } = {}) {
    const answer = await fetch(this.url + place, {
      method,
      headers: { ...bearer(key), ...(body !== undefined && { 'content-type': type }) },
      body: body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${place}: ${answer.status} ${text.slice(0, 2000)}`);
    return text ? JSON.parse(text) : null;
  }

  endpoint(members) { return this.api('POST', '/v1/endpoints', { events: ['*'], ...members }); }

  post(type, payload, members = {}) { return this.api('POST', '/v1/events', { type, payload, ...members }); }

  /** The only delivery of an event, once it has come to `state`. */
  delivery(event, state) {
    return until(`the delivery of ${event} to be ${state}`, async () => {
      const { items: [found] } = await this.api('GET', `/v1/deliveries?event=${event}`);
      return found?.state === state && found;
    });
  }
}

const bearer = (key) => ({ authorization: `Bearer ${key}` });
const timeout = (ms) => new Promise((done) => { setTimeout(done, ms, undefined).unref(); });

/** What goes wrong here costs time and nothing else. Each file is complete at once. */
function copyCompiled(from, to) {
  try {
    fs.mkdirSync(to, { recursive: true, mode: 0o700 });
    for (const file of fs.readdirSync(from).filter((name) => name.endsWith('.code'))) {
      const target = path.join(to, file);
      if (fs.existsSync(target)) continue;
      const partial = `${target}.${process.pid}`;
      fs.copyFileSync(path.join(from, file), partial);
      fs.renameSync(partial, target);
    }
  } catch { /* it is compiled again */ }
}

/** A bundled plugin's file, as it was built beside the binary. */
export function bundled(name) {
  const build = path.join(path.dirname(BINARY), 'build');
  const files = fs.readdirSync(build).filter((folder) => folder.startsWith('hookwright-'))
    .map((folder) => path.join(build, folder, 'out', `${name}.wasm`)).filter((file) => fs.existsSync(file));
  assert.ok(files.length, `no ${name}.wasm lies beside the binary`);
  return fs.readFileSync(files.sort((one, other) => fs.statSync(other).mtimeMs - fs.statSync(one).mtimeMs)[0]);
}

/** The same plugin under another digest: a custom section changes no behaviour. */
export function rebuilt(wasm, note) {
  const words = Buffer.from(note);
  const name = Buffer.from('note');
  const content = Buffer.concat([Buffer.from([name.length]), name, words]);
  assert.ok(content.length < 128);
  return Buffer.concat([wasm, Buffer.from([0, content.length]), content]);
}

/* The receiver */

/** Answers as each path was told to, with 200 where it was not, and keeps what came. */
export class Receiver {
  static async start() {
    const receiver = new Receiver();
    receiver.answers = new Map();
    receiver.arrivals = [];
    receiver.keeps = true;
    receiver.server = http.createServer((request, response) => receiver.#take(request, response));
    await new Promise((done) => { receiver.server.listen(0, '127.0.0.1', done); });
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}`;
    return receiver;
  }

  async #take(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const arrival = { path: request.url, method: request.method, headers: request.headers, body: Buffer.concat(parts).toString() };
    if (this.keeps) this.arrivals.push(arrival);
    const { status = 200, headers = { 'content-type': 'text/plain' }, body = 'ok' } = this.answers.get(request.url) ?? {};
    response.writeHead(status, headers);
    response.end(body);
  }

  /** `answer`: `{status, headers, body}`. */
  answer(place, answer) { this.answers.set(place, answer); }

  at(place) { return this.arrivals.filter((arrival) => arrival.path === place); }

  /** The first `count` that came to a path. */
  arrived(place, count = 1) {
    return until(`${count} at ${place}`, () => this.at(place).length >= count && this.at(place).slice(0, count));
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((done) => { this.server.close(done); });
  }
}

/* The browser */

export const launch = () => chromium.launch({
  executablePath: CHROMIUM,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--js-flags=--expose-gc', '--enable-precise-memory-info'],
});

/** What is answered for as long as somebody reads. */
const STREAM = '/v1/deliveries/live';

/** What a console says of an answer that is no success; which ones are right, the test tells by `mayRefuse`. */
const FAILED_RESOURCE = /^Failed to load resource: the server responded with a status of/;

/**
 * A tab that fails its test over any error in its console, any report of the content security policy, any request that
 * fails or goes elsewhere, and any refusal that the test did not name.
 */
export class Tab {
  static async open(browser, host, { key, context: settings, origins = [] } = {}) {
    const tab = new Tab();
    tab.host = host;
    tab.origins = [new URL(host.url).origin, ...origins];
    tab.faults = [];
    tab.refusals = [];
    tab.failures = [];
    /** What went wrong as the test said it may. */
    tab.forgiven = [];
    tab.requests = [];
    /** Requests that nobody has answered yet, but for streams. */
    tab.open = new Set();
    tab.context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB', timezoneId: 'Europe/Berlin', ...settings });
    tab.context.setDefaultTimeout(PATIENCE_MS);
    if (key) await tab.#enter(key);
    tab.page = await tab.context.newPage();
    await tab.#watch();
    return tab;
  }

  /** Signs in behind the pages' back, where signing in is not what is tested. */
  async #enter(key) {
    const answer = await fetch(`${this.host.url}/v1/session`, {
      method: 'POST', headers: { 'content-type': 'application/json', origin: this.host.url }, body: JSON.stringify({ key }),
    });
    assert.equal(answer.status, 200, await answer.text());
    const [name, value] = answer.headers.getSetCookie()[0].split(';')[0].split('=');
    await this.context.addCookies([{ name, value, url: this.host.url, httpOnly: true, sameSite: 'Strict' }]);
  }

  async #watch() {
    const { page } = this;
    await page.exposeFunction('reportedPolicy', (report) => this.#fault(`CSP report: ${report}`));
    await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) => {
      window.reportedPolicy(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    }));
    page.on('console', (message) => {
      if (message.type() === 'error' && !FAILED_RESOURCE.test(message.text())) this.#fault(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.#fault(`error: ${error.stack ?? error}`));
    for (const name of ['requestfinished', 'requestfailed']) page.on(name, (request) => this.open.delete(request));
    page.on('request', (request) => {
      this.requests.push(request);
      const { origin, protocol, pathname } = new URL(request.url());
      if (pathname !== STREAM) this.open.add(request);
      if (!this.origins.includes(origin) && !['data:', 'blob:', 'about:', 'chrome-error:'].includes(protocol)) this.#fault(`a request to ${request.url()}`);
    });
    page.on('requestfailed', (request) => {
      const { errorText } = request.failure();
      // A page that is left, or asks anew, ends what it waits for.
      if (errorText !== 'net::ERR_ABORTED') this.#fault(`${request.method()} ${request.url()}: ${errorText}`);
    });
    page.on('response', (response) => {
      if (response.status() < 400) return;
      const { pathname } = new URL(response.url());
      const stranger = response.status() === 401 && pathname === '/v1/session' && response.request().method() === 'GET';
      if (stranger || this.refusals.some(([status, place]) => status === response.status() && place.test(pathname))) return;
      this.#fault(`${response.request().method()} ${response.url()}: ${response.status()}`);
    });
  }

  #fault(text) {
    (this.failures.some((pattern) => pattern.test(text)) ? this.forgiven : this.faults).push(text);
  }

  /** Says that what is told so belongs to the test. */
  mayFail(pattern) { this.failures.push(pattern); }

  /** Says that this status from such a path belongs to the test. */
  mayRefuse(status, place) { this.refusals.push([status, place]); }

  /** Opens `#/...` and waits for the page's title. */
  async go(place, title) {
    await this.page.goto(`${this.host.url}/#/${place}`);
    if (title) await this.shows(this.heading(title));
  }

  /** Until all that the page asked for is there and shown. */
  async settled() {
    let calm = 0;
    await until('the page to be complete', async () => {
      const busy = this.open.size > 0 || !(await this.page.evaluate("!!document.querySelector('h1') && !document.querySelector('.spinner')"));
      calm = busy ? 0 : calm + 1;
      return calm >= 3;
    });
  }

  heading(name) { return this.page.getByRole('heading', { level: 1, name }); }

  async shows(locator) {
    await locator.first().waitFor({ state: 'visible' });
    return locator;
  }

  async gone(locator) {
    await locator.first().waitFor({ state: 'hidden' });
  }

  /** The text of what is shown comes to hold `wanted`. */
  says(locator, wanted) {
    return until(`${wanted} on the page`, async () => {
      const text = await locator.first().innerText({ timeout: 1_000 });
      if (typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text)) return true;
      throw new Error(`it says ${JSON.stringify(text.slice(0, 1_500))}`);
    });
  }

  /** What axe-core finds, serious and critical, each as a line. */
  async violations() {
    if (!(await this.page.evaluate('!!window.axe'))) await this.page.evaluate(AXE);
    const found = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    return found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').flatMap(({ id, help, nodes }) =>
      nodes.map((node) => `${id} (${help}): ${node.html.slice(0, 200)} ${node.any.map((check) => check.message).join('; ').slice(0, 200)}`));
  }

  /** Ends the tab, and the test with it where anything went wrong on the way. */
  async close() {
    await this.context.close();
    assert.deepEqual(this.faults, []);
  }
}

/**
 * A host, a receiver and a browser for the tests of a file: `{host, receiver, browser}`, filled in before the first one and
 * handed to `prepare`; and `scene(name, options, play)`, a test with a tab of its own, which is judged at the end. `options`
 * are a tab's, or left out.
 */
export function world({ prepare, ...options } = {}) {
  const here = {};
  before(async () => {
    [here.host, here.receiver, here.browser] = await Promise.all([Host.start(options), Receiver.start(), launch()]);
    await prepare?.(here);
  });
  after(async () => {
    await here.browser?.close();
    await here.receiver?.stop();
    await here.host?.stop();
  });
  here.scene = (name, ...rest) => {
    const play = rest.pop();
    test(name, () => inTab(here, name, { key: ADMIN_KEY, ...rest[0] }, play));
  };
  return here;
}

async function inTab(here, name, options, play) {
  const tab = await Tab.open(here.browser, here.host, options);
  try {
    await play(tab);
  } catch (error) {
    const picture = path.join(TARGET, 'browser/failed', `${name.replace(/\W+/g, '-')}.png`);
    await tab.page.screenshot({ path: picture, fullPage: true }).catch(() => {});
    error.message += `\n  at ${tab.page.url()}, shown in ${picture}${tab.faults.map((fault) => `\n  ${fault}`).join('')}`;
    await tab.context.close();
    throw error;
  }
  await tab.close();
}
