// Replays: jobs that deliver again in the background. `#/replays`, `#/replays/job_...`.

import { html, useEffect, useState } from '../lib/html.js';
import { api, part, useLoad, usePages } from '../lib/api.js';
import { number } from '../lib/format.js';
import { link } from '../lib/route.js';
import { Badge, Button, Card, Confirm, Empty, Facts, Listing, Page, Problem, Progress, Spinner, Table, Time, visible } from '../lib/ui.js';
import { useNames } from './deliveries/names.js';
import { ReplayDialog, Selected } from './deliveries/selection.js';

const LOOKED_EVERY_MS = 1_000;

const SKIPPED = {
  pending: 'It is pending: it is being delivered as it is.',
  replayed: 'It was delivered again already: the latest of its line stands for it.',
  endpoint_deleted: 'Its endpoint was deleted.',
  event_full: 'Its event has as many deliveries as it can have.',
  forgotten: 'It was forgotten meanwhile: it is past its retention.',
  present: 'The endpoint got the event, or is getting it.',
  not_wanted: 'The endpoint does not want such events.',
};

export default function Replays({ parts: [id], query }) {
  return id ? html`<${One} id=${id} key=${id} />` : html`<${List} query=${query} />`;
}

const look = (id, signal) => api.get(`/v1/replays/${part(id)}`, {}, { signal });

function List({ query }) {
  const pages = usePages('/v1/replays', { tenant: query.tenant });
  const [asked, setAsked] = useState(query.new != null);
  const running = (pages.items ?? []).filter((job) => job.state === 'running').map((job) => job.id);
  useEffect(() => {
    if (!running.length) return undefined;
    const abort = new AbortController();
    const timer = setInterval(async () => {
      if (document.hidden) return;
      const seen = await Promise.all(running.map((id) => look(id, abort.signal).catch(() => null)));
      if (abort.signal.aborted) return;
      pages.setItems((items) => items.map((job) => seen.find((now) => now?.id === job.id) ?? job));
    }, LOOKED_EVERY_MS);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [running.join()]);
  const nameOf = useNames((pages.items ?? []).map((job) => job.selection.endpoint));
  const columns = [
    { head: 'What', cell: (job) => html`<a href=${link('replays', job.id)}><${Selected} selection=${job.selection} nameOf=${nameOf} /></a>` },
    { head: 'State', cell: (job) => html`<${Badge} state=${job.state} />` },
    { head: 'Looked at', class: 'number', cell: (job) => number(job.progress.looked_at) },
    { head: 'Made', class: 'number', cell: (job) => number(job.progress.made) },
    { head: 'Left out', class: 'number', cell: (job) => number(skippedOf(job)) },
    { head: 'Begun', class: 'tight', cell: (job) => html`<${Time} at=${job.created_at} />` },
  ];
  return html`
    <${Page} title="Replays" actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => setAsked(true)}>Deliver again<//>`}>
      <${Listing} pages=${pages} caption="Replays, newest first" columns=${columns} class="cards" empty=${html`
        <${Empty} title="Nothing was delivered again yet">After an outage, a replay delivers what failed. It begins here, or with the
          filters of <a href=${link('deliveries', { state: 'failed' })}>the deliveries</a>.<//>`} />
      ${asked && html`<${ReplayDialog} from=${query} onClose=${() => setAsked(false)} />`}
    <//>`;
}

const skippedOf = (job) => Object.values(job.progress.skipped).reduce((sum, count) => sum + count, 0);

function One({ id }) {
  const { data: job, error, reload, set } = useLoad((signal) => look(id, signal), [id]);
  const [asked, setAsked] = useState(false);
  const running = job?.state === 'running';
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => { if (!document.hidden) reload(); }, LOOKED_EVERY_MS);
    return () => clearInterval(timer);
  }, [running, reload]);
  const cancel = async () => set(await api.post(`/v1/replays/${part(id)}/cancel`));
  return html`
    <${Page} title="Replay" back=${{ href: link('replays'), text: 'Replays' }}
      actions=${running && html`<${Button} kind="danger" onClick=${() => setAsked(true)}>Cancel<//>`}>
      ${error && html`<${Problem} error=${error} retry=${reload} />`}
      ${!job && !error && html`<${Spinner} />`}
      ${job && html`<${Shown} job=${job} />`}
      ${asked && html`<${Confirm} title="Stop this replay?" verb="Stop it" act=${cancel} onClose=${() => setAsked(false)}>
        <p>The deliveries that it has made stay.</p><//>`}
    <//>`;
}

function Shown({ job }) {
  const nameOf = useNames([job.selection.endpoint]);
  const { looked_at: looked, made, skipped } = job.progress;
  const what = job.selection.missing ? 'events' : 'deliveries';
  const rows = Object.entries(skipped);
  const columns = [
    { head: 'Why', cell: ([word]) => SKIPPED[word] ?? word },
    { head: 'How many', class: 'number tight', cell: ([, count]) => number(count) },
  ];
  const { selection } = job;
  return html`
    <${Card}>
      <p class="row"><${Badge} state=${job.state} /><${Selected} selection=${selection} nameOf=${nameOf} /></p>
      ${job.reason && html`<p class="strong">${visible(job.reason)}</p>`}
      <div role="status"><${Progress} part=${job.state === 'running' ? null : 1} label=${`${number(looked)} ${what} looked at, ${number(made)} delivered again`} /></div>
      <${Facts} pairs=${[
        ['Begun', html`<${Time} at=${job.created_at} />`],
        ['Ended', job.finished_at && html`<${Time} at=${job.finished_at} />`],
        ['webhook-id', job.new_id ? 'a new one for each' : 'the same as before'],
        ['Deliveries', html`<a href=${link('deliveries', { endpoint: selection.endpoint, type: selection.type, tenant: selection.endpoint ? undefined : selection.tenant })}>See them</a>`],
        ['Job', html`<span class="mono">${job.id}</span>`],
      ]} />
    <//>
    <${Card} title="Left out">
      ${rows.length ? html`<${Table} caption="What was left out, and why" columns=${columns} rows=${rows} id=${([word]) => word} />`
    : html`<p class="faint">Nothing ${job.state === 'running' ? 'yet' : 'was'}.</p>`}
    <//>`;
}
