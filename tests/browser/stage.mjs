// A host with something of everything on it, for tests that look at every page; and what the pages are.

import fs from 'node:fs';
import path from 'node:path';

import { ROOT, bundled, rebuilt, until } from './harness.mjs';

/** The event types of a preset, with their samples as JSON texts. */
export function catalogue(preset) {
  const text = fs.readFileSync(path.join(ROOT, `host/presets/${preset}.toml`), 'utf8');
  return text.split(/^\[\[event_types\]\]$/m).slice(1).map((block) => {
    const member = (name) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(block)?.[1] ?? '';
    const samples = [...block.matchAll(/^'''\n([^]*?)^'''/gm)].map(([, sample]) => sample.trim());
    return { name: member('name'), group: member('group'), description: member('description'), samples };
  });
}

/** Puts a preset's event types into the catalogue. */
export async function putCatalogue(host, preset) {
  const types = catalogue(preset);
  for (const { name, group, description, samples } of types) {
    const body = `{"group":${JSON.stringify(group)},"description":${JSON.stringify(description)},"samples":[${samples.join(',')}]}`;
    await host.api('PUT', `/v1/event-types/${name}`, body);
  }
  return types;
}

export const SLACK = {
  title: 'Invoice {document.invoice_number} from {document.vendor_name|an unknown vendor}',
  text: '{document.ai_summary|}',
  fields: [{ label: 'Total', value: '{document.total_amount} {document.currency}' }, { label: 'Due', path: 'document.due_date', missing: 'not said' }],
  link: { path: 'document.doc_url', label: 'Open the document' },
};

/** Endpoints that work, fail and rest; events of two tenants; versions, keys, a replay, an uploaded plugin. */
export async function stage(host, receiver) {
  const types = await putCatalogue(host, 'recordengine');
  receiver.answer('/crm', { status: 401, headers: { 'content-type': 'application/json' }, body: '{"error":"token expired"}' });
  receiver.answer('/audit', { status: 500, body: 'Internal Server Error' });
  const at = (place) => `${receiver.url}${place}`;
  const slack = await host.endpoint({
    name: 'Documents to Slack', description: 'Exported documents, with amount and link.', url: at('/slack'),
    events: ['document.exported'], transforms: [{ plugin: 'slack', config: SLACK }],
  });
  const ledger = await host.endpoint({
    name: 'Ledger', url: at('/ledger'), events: ['*'], signature: { scheme: 'hmac-sha256', header: 'X-Signature', prefix: 'sha256=' },
    transforms: [{ plugin: 'flatten', config: {} }],
  });
  const crm = await host.endpoint({ name: 'Contacts to the CRM', url: at('/crm'), events: ['contact.created', 'folder.created'], retry: { attempts: 1 } });
  await host.endpoint({ name: 'Audit trail', url: at('/audit'), events: ['audit.log', 'case.created'], retry: { schedule: ['1h', '2h'] } });
  const resting = await host.endpoint({ name: 'Staging', url: at('/staging'), events: ['rule.executed'], enabled: false });
  await host.endpoint({ name: 'Everything of Acme', tenant: 'acme', url: at('/acme'), events: ['*'], auth: { type: 'bearer', token: 'not-shown' } });
  await host.endpoint({
    name: 'Large invoices only', url: at('/filtered'), events: ['document.exported'],
    transforms: [{ plugin: 'filter', config: { keep: { path: 'document.total_amount', gt: 1_000_000 } } }],
  });
  await host.api('PATCH', '/v1/tenants/acme', { quota: { ingest: { requests: 100, per: '1s' } } });
  await host.api('PUT', '/v1/versions', { versions: [{ name: '2025-06' }, { name: '2026-03', steps: [{ events: ['document.*'], plugin: 'flatten', config: { separator: '_' } }] }] });
  await host.api('POST', '/v1/keys', { role: 'ingest' });
  await host.api('POST', '/v1/keys', { role: 'tenant', tenant: 'acme', expires: '90d' });
  await host.api('PUT', '/v1/plugins/flatten', rebuilt(bundled('flatten'), 'a build of its own'), { type: 'application/wasm' });

  const events = [];
  for (const { name, samples: [sample] } of types) {
    for (const tenant of ['default', 'acme']) {
      events.push(await host.api('POST', '/v1/events', `{"type":"${name}","tenant":"${tenant}","channels":["mail"],"payload":${sample}}`));
    }
  }
  const [{ id: event }] = events;
  await until('what can arrive to have arrived', async () => {
    const { totals } = await host.api('GET', '/v1/overview');
    return totals.delivered >= 15 && totals.failed >= 2;
  });
  const { items: [failed] } = await host.api('GET', `/v1/deliveries?endpoint=${crm.id}&state=failed`);
  const { items: [delivered] } = await host.api('GET', `/v1/deliveries?endpoint=${slack.id}`);
  const replay = await host.api('POST', '/v1/replays', { endpoint: ledger.id, state: 'delivered' });
  await until('the replay to be done', async () => (await host.api('GET', `/v1/replays/${replay.id}`)).state === 'done');
  return { event, failed: failed.id, delivered: delivered.id, replay: replay.id, slack: slack.id, ledger: ledger.id, crm: crm.id, resting: resting.id };
}

/** Every page, as `[name, place]`. `of`: what `stage` gave. */
export const pages = (of) => [
  ['overview', 'overview'],
  ['endpoints', 'endpoints'],
  ['endpoint', `endpoints/${of.ledger}`],
  ['endpoint-failing', `endpoints/${of.crm}`],
  ['endpoint-new', 'endpoints/new'],
  ['endpoint-edit', `endpoints/${of.slack}/edit`],
  ['deliveries', 'deliveries'],
  ['delivery', `deliveries/${of.delivered}`],
  ['delivery-failed', `deliveries/${of.failed}`],
  ['events', 'deliveries/events'],
  ['event', `deliveries?event=${of.event}`],
  ['bench', `bench?event=${of.event}&endpoint=${of.slack}`],
  ['bench-empty', 'bench'],
  ['replays', 'replays'],
  ['replay', `replays/${of.replay}`],
  ['plugins', 'plugins'],
  ['plugin', 'plugins/flatten'],
  ['event-types', 'event-types'],
  ['event-type', 'event-types/document.exported'],
  ['event-type-edit', 'event-types/document.exported/edit'],
  ['settings-keys', 'settings'],
  ['settings-tenants', 'settings/tenants'],
  ['settings-tenant', 'settings/tenants/acme'],
  ['settings-host', 'settings/host'],
  ['settings-versions', 'settings/versions'],
];
