// The chain of an endpoint, and its editor: links that can be added, moved and configured.
//
// A chain is the interface's `transforms` in which each `config` is JSON text, as `api.get(path, values, {keep: ['config']})`
// gives it: digits and the order of members survive.

import { html, useContext, useEffect, useMemo, useRef, useState } from './html.js';
import { api, part, useLoad } from './api.js';
import { Badge, Button, Dialog, Field, Icon, Input, Problem, Select, Spinner, Tabs, prose } from './ui.js';
import { visible } from './format.js';
import { Session } from './session.js';
import { pretty } from './json.js';
import { CodeField } from './editor.js';
import { MASK, SchemaForm, canShow, swapped, useIds } from './schema-form.js';
import { faultOf } from './tree.js';

/** `slack`, and the digest that it is pinned to. */
export function named(plugin) {
  const [name, digest] = (plugin ?? '').split('@sha256:');
  return { name, digest: digest ?? null };
}

/** Configurations that are no JSON: `[{pointer, message, line, column}]`, with pointers as the server gives them. */
export const chainFaults = (links) => (links ?? []).flatMap((link, index) => {
  const fault = link.config?.trim() ? faultOf(link.config) : null;
  return fault ? [{ pointer: `/transforms/${index}/config`, message: fault.message, line: fault.line, column: fault.column }] : [];
});

const DEFAULT_FAILURE = 'retry';

/** Stands for a configuration that is no JSON: the server refuses it at its place, since no name may stand in an object twice. */
const REFUSED = '{"not JSON":0,"not JSON":0}';

/**
 * The JSON text of a chain, for the body of a request: configurations go in as they are written. One that is no JSON (see
 * `chainFaults`) goes in as something that the server refuses at `/transforms/<index>/config`.
 */
export function chainJson(links) {
  const member = (name, text) => `${JSON.stringify(name)}:${text}`;
  const link = ({ plugin, config, on_failure: onFailure, limits }) => `{${[
    member('plugin', JSON.stringify(plugin)),
    // Said even where it is empty: a change without it would keep what is stored.
    member('config', !config?.trim() || config.trim() === 'null' ? '{}' : faultOf(config) ? REFUSED : config),
    onFailure && member('on_failure', JSON.stringify(onFailure)),
    limits && Object.keys(limits).length > 0 && member('limits', JSON.stringify(limits)),
  ].filter(Boolean).join(',')}}`;
  return `[${(links ?? []).map(link).join(',')}]`;
}

/** Whether two chains are the same, to the letter. */
export const sameChain = (one, other) => chainJson(one) === chainJson(other) && JSON.stringify(one) === JSON.stringify(other);

/** Whether a text of a configuration is one that the server stores and does not show. */
export const isMaskedChain = (links) => (links ?? []).some((link) => link.config?.includes(JSON.stringify(MASK)));

/* What is known of plugins, fetched once while the editor is there */

const known = new Map();

/** A plugin with its schema parsed, and its examples with their configurations as text. */
export async function pluginInFull(name, signal) {
  if (known.has(name)) return known.get(name);
  const plugin = await api.get(`/v1/plugins/${part(name)}`, {}, { signal, keep: ['config_schema', 'config'] });
  const schema = plugin.config_schema ? JSON.parse(plugin.config_schema) : null;
  const full = { ...plugin, schema: schema && typeof schema === 'object' ? schema : null };
  known.set(name, full);
  return full;
}

const usePlugin = (name) => useLoad((signal) => (name ? pluginInFull(name, signal) : Promise.resolve(null)), [name]);
/** All plugins by name. */
export const usePlugins = () => useLoad(async (signal) => (await api.get('/v1/plugins', {}, { signal })).items, []);

/* The editor */

/** Counts the chains that come from outside: what an editor remembers of one, such as a masked text, is not for the next. */
function useGeneration(links, tell) {
  const state = useRef({ own: links, generation: 0 });
  const { own } = state.current;
  if (links !== own) {
    const generation = state.current.generation + (sameChain(links, own) ? 0 : 1);
    state.current = { own: links, generation };
  }
  return [state.current.generation, (next) => { state.current.own = next; tell(next); }];
}

/**
 * `value`: a chain. `onValue`: told of each new one. `errors`: `[{pointer, message}]` of the server, with pointers such as
 * `/transforms/0/config/fields`. `runs`: what a trial made of the links, in their order: `{verdict}`. `onExample`: told of the
 * plugin's example that a configuration was taken from.
 */
export function ChainEditor({ value, onValue: tell, errors = [], label = 'Chain', runs, onExample }) {
  const links = value ?? [];
  const [generation, onValue] = useGeneration(links, tell);
  const [adding, setAdding] = useState(false);
  const [opened, setOpened] = useState({});
  const [focus, setFocus] = useState(null);
  const [told, setTold] = useState('');
  const root = useRef(null);
  const { ids, swap, remove } = useIds(links.length);
  const plugins = usePlugins();
  // New plugins and versions are seen where the editor is opened anew; before its links, drawn below, ask for theirs.
  useState(() => known.clear());
  useEffect(() => {
    if (!focus) return;
    const place = root.current.querySelector(focus);
    setFocus(null);
    place?.focus();
  }, [focus]);

  const change = (index, next) => onValue(links.map((link, place) => (place === index ? next : link)));
  const move = (from, to, what) => {
    if (to < 0 || to >= links.length) return;
    swap(from, to);
    onValue(swapped(links, from, to));
    setTold(`${named(links[from].plugin).name} is link ${to + 1} of ${links.length} now.`);
    // The button that was pressed may be at its end now; then the other one.
    const end = what === 'up' ? to === 0 : to === links.length - 1;
    setFocus(`[data-link="${to}"] ${what && !end ? `[data-move=${what}]` : '[data-head]'}`);
  };
  const takeAway = (index) => {
    remove(index);
    onValue(links.filter((_, place) => place !== index));
    setTold(`${named(links[index].plugin).name} is removed.`);
    setFocus(links.length > 1 ? `[data-link="${Math.max(0, index - 1)}"] [data-head]` : '[data-add]');
  };
  const add = (plugin, config) => {
    setAdding(false);
    onValue([...links, { plugin, config: config ?? '', on_failure: DEFAULT_FAILURE }]);
    setFocus(`[data-link="${links.length}"] [data-head]`);
  };
  const ofLink = (index) => errors.filter(({ pointer = '' }) => pointer === `/transforms/${index}` || pointer.startsWith(`/transforms/${index}/`))
    .map((error) => ({ ...error, pointer: error.pointer.slice(`/transforms/${index}`.length) }));
  const ofChain = errors.filter(({ pointer = '' }) => pointer === '/transforms' || (/^\/transforms\/\d+/.test(pointer) && Number(pointer.split('/')[2]) >= links.length));

  return html`
    <section class="chain" aria-label=${label} ref=${root}>
      <p class="hidden" role="status">${told}</p>
      ${ofChain.map((error) => html`<p class="error" role="alert">${visible(error.message)}</p>`)}
      ${links.length === 0 && html`<p class="chain-none">No links: the payload goes out as it was posted.</p>`}
      <ol class="chain-links">${links.map((link, index) => html`
        <li key=${`${generation}-${ids[index]}`} data-link=${index}>
          <${Link} link=${link} index=${index} count=${links.length} errors=${ofLink(index)} run=${runs?.[index]} onExample=${onExample}
            open=${opened[ids[index]] ?? true} onOpen=${(open) => setOpened({ ...opened, [ids[index]]: open })}
            onLink=${(next) => change(index, next)} onMove=${(to, what) => move(index, to, what)} onRemove=${() => takeAway(index)} />
        </li>`)}</ol>
      <${Button} icon="plus" data-add="" onClick=${() => setAdding(true)}>Add a link<//>
      ${adding && html`<${Chooser} plugins=${plugins} onChoose=${add} onClose=${() => setAdding(false)} />`}
    </section>`;
}

const TONES = { pass: 'good', replace: 'info', drop: 'warn', reject: 'bad' };
/** A verdict, or the kind of a failure. */
export const Verdict = ({ word }) => html`<${Badge} tone=${TONES[word] ?? 'bad'}>${visible(word.replaceAll('_', ' '))}<//>`;

function Link({ link, index, count, errors, run, open, onOpen, onLink, onMove, onRemove, onExample }) {
  const { name, digest } = named(link.plugin);
  const plugin = usePlugin(name);
  const key = (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.altKey) return;
    event.preventDefault();
    onMove(index + step);
  };
  const body = `link-${index}-${name}`;
  const atLink = errors.filter(({ pointer }) => ['', '/plugin'].includes(pointer));
  const title = `Link ${index + 1}: ${name}`;
  return html`
    <article class="chain-link ${errors.length ? 'faulty' : ''}" aria-label=${title} onKeyDown=${key}>
      <header>
        <button type="button" class="chain-head" data-head="" aria-expanded=${open ? 'true' : 'false'} aria-controls=${body}
          title="Alt with the arrow keys moves the link" aria-keyshortcuts="Alt+ArrowUp Alt+ArrowDown" onClick=${() => onOpen(!open)}>
          <span class="chain-place" aria-hidden="true">${index + 1}</span><span class="hidden">Link ${index + 1}: </span><span class="strong">${visible(name)}</span>
          ${digest && html`<${Badge} tone="calm">${digest.slice(0, 8)}<//>`}
          ${run && html`<${Verdict} word=${run.verdict} />`}
          ${errors.length > 0 && !open && html`<${Badge} tone="bad">wrong<//>`}
          <${Icon} name=${open ? 'open' : 'shut'} />
        </button>
        <div class="form-tools">
          <${Button} kind="quiet" icon="up" data-move="up" aria-label="Move ${title} up" disabled=${index === 0} onClick=${() => onMove(index - 1, 'up')} />
          <${Button} kind="quiet" icon="down" data-move="down" aria-label="Move ${title} down" disabled=${index === count - 1} onClick=${() => onMove(index + 1, 'down')} />
          <${Button} kind="quiet" icon="close" aria-label="Remove ${title}" onClick=${onRemove} />
        </div>
      </header>
      <div class="chain-body" id=${body} hidden=${!open}>
        ${atLink.map((error) => html`<p class="error" role="alert">${visible(error.message)}</p>`)}
        ${plugin.error && html`<p class="error">${plugin.error.status === 404 ? `There is no plugin ${name} on this server now.` : visible(plugin.error.message)}</p>`}
        <p class="hint chain-summary">${visible(plugin.data?.summary ?? '')}</p>
        <${Configuration} link=${link} plugin=${plugin.data} loading=${plugin.loading && !plugin.data} errors=${errors} onExample=${onExample}
          onConfig=${(config) => onLink({ ...link, config })} />
        <${Manner} link=${link} plugin=${plugin.data} errors=${errors} onLink=${onLink} />
      </div>
    </article>`;
}

/** The configuration as a form or as JSON. */
function Configuration({ link, plugin, loading, errors, onConfig, onExample }) {
  const text = link.config === 'null' ? '' : link.config ?? '';
  const [wanted, setWanted] = useState('form');
  // What is laid out for reading is no change, until somebody edits it.
  const [laid, setLaid] = useState(null);
  const [taken, setTaken] = useState(0);
  const [id] = useState(() => `config-${(areas += 1)}`);
  const inside = errors.filter(({ pointer }) => pointer === '/config' || pointer.startsWith('/config/'))
    .map((error) => ({ ...error, pointer: error.pointer.slice('/config'.length) }));
  if (loading) return html`<${Spinner} label="Loading what the plugin takes" />`;
  const possible = canShow(plugin?.schema, text);
  const mode = possible ? wanted : 'json';
  const fault = text.trim() ? faultOf(text) : null;
  const pick = (next) => {
    if (next === 'json' && mode === 'form') setLaid({ of: text, text: pretty(text) });
    setWanted(next);
  };
  const examples = plugin?.examples ?? [];
  const shown = laid?.of === text ? laid.text : text;
  return html`
    <div class="chain-config">
      <div class="chain-config-bar">
        ${plugin?.schema ? html`<${Tabs} label="Configuration as" tabs=${[['form', 'Form'], ['json', 'As JSON']]} value=${mode} onValue=${pick} />` : html`<p class="strong">Configuration</p>`}
        ${examples.length > 0 && html`<${FromExample} examples=${examples} isUsed=${text.trim() !== ''} onTake=${(example) => { setTaken(taken + 1); onConfig(pretty(example.config)); onExample?.(example); }} />`}
      </div>
      ${mode === 'form'
        ? html`<${SchemaForm} key=${taken} schema=${plugin.schema} value=${text} errors=${inside} onValue=${onConfig} />`
        : html`<${CodeField} id=${id} label="Configuration in JSON" rows=${Math.min(24, Math.max(6, shown.split('\n').length + 1))} value=${shown} onValue=${onConfig}
            error=${fault ?? jsonError(inside)} message=${fault ? fault.message : inside.map(({ pointer, message }) => (pointer ? `${pointer}: ${message}` : message)).join(' ')}
            hint=${!fault && !possible && plugin?.schema ? 'The form cannot show this text.' : undefined} />`}
    </div>`;
}
let areas = 0;

/** A place inside a template or a script is none in the JSON around it. */
const jsonError = (errors) => (errors.length ? { message: errors[0].pointer === '' ? errors[0].message : '' } : undefined);

function FromExample({ examples, isUsed, onTake }) {
  const [asked, setAsked] = useState(null);
  // Drawn anew after each choice: what is shown is the invitation, not what was taken.
  const [turn, setTurn] = useState(0);
  const usable = examples.filter((example) => example.config && example.config !== 'null');
  if (usable.length === 0) return null;
  const take = (word) => {
    if (word === '') return;
    const example = usable[Number(word)];
    setTurn(turn + 1);
    if (isUsed) setAsked(example);
    else onTake(example);
  };
  return html`
    <div class="chain-example">
      <${Select} key=${turn} aria-label="Start from an example" value="" options=${[['', 'Start from an example …'], ...usable.map((example, index) => [String(index), example.title])]}
        onValue=${take} />
      ${asked && html`<${Dialog} title="Replace the configuration?" onClose=${() => setAsked(null)}>
        <p>What is configured here now gives way to the example “${visible(asked.title)}”.</p>
        <footer><${Button} onClick=${() => setAsked(null)}>Keep it<//>
          <${Button} kind="primary" onClick=${() => { onTake(asked); setAsked(null); }}>Replace<//></footer>
      <//>`}
    </div>`;
}

const FAILURES = {
  retry: 'retry: the delivery is tried again',
  fail: 'fail: the delivery has failed',
  pass: 'pass: the message goes on as it was',
};

/** What happens when it fails, which version runs, and what one call may use. */
function Manner({ link, plugin, errors, onLink }) {
  const [id] = useState(() => `manner-${(areas += 1)}`);
  const { name, digest } = named(link.plugin);
  const said = (pointer) => errors.filter((error) => error.pointer === pointer).map((error) => error.message).join(' ') || undefined;
  const wrong = errors.some(({ pointer }) => pointer.startsWith('/limits') || pointer === '/on_failure' || pointer === '/plugin');
  const [open, setOpen] = useState(Boolean(digest || link.limits || (link.on_failure && link.on_failure !== DEFAULT_FAILURE)));
  useEffect(() => { if (wrong) setOpen(true); }, [wrong]);
  const words = Object.keys(FAILURES).filter((word) => word !== 'pass' || !plugin?.must_run || link.on_failure === 'pass');
  const limit = (member, next) => {
    const limits = { ...link.limits };
    if (next === '') delete limits[member];
    else limits[member] = member === 'time' || !/^[0-9]+$/.test(next) ? next : Number(next);
    const { limits: _, ...rest } = link;
    onLink(Object.keys(limits).length ? { ...rest, limits } : rest);
  };
  const number = (member, label, hint) => html`
    <${Field} label=${label} optional error=${said(`/limits/${member}`)} hint=${hint}>${(a) => html`
      <${Input} ...${a} inputmode=${member === 'time' ? 'text' : 'numeric'} value=${link.limits?.[member] ?? ''} onValue=${(next) => limit(member, next.trim())} />`}<//>`;
  const summary = [
    digest ? `pinned to ${digest.slice(0, 8)}` : 'newest version',
    `on failure: ${link.on_failure ?? DEFAULT_FAILURE}`,
    link.limits && 'limits of its own',
  ].filter(Boolean).join(' · ');
  return html`
    <div class="chain-manner">
      <button type="button" class="button quiet" aria-expanded=${open ? 'true' : 'false'} aria-controls=${id} onClick=${() => setOpen(!open)}>
        <${Icon} name=${open ? 'open' : 'shut'} /><span>Version, failures and limits <small>${summary}</small></span></button>
      <div id=${id} hidden=${!open}>
        ${open && html`
          <div class="columns">
            <${Version} name=${name} digest=${digest} plugin=${plugin} onDigest=${(next) => onLink({ ...link, plugin: next ? `${name}@sha256:${next}` : name })} />
            <${Field} label="When it fails" error=${said('/on_failure')} hint=${plugin?.must_run ? 'This plugin has to run: what it fails at never passes.' : undefined}>${(a) => html`
              <${Select} ...${a} value=${link.on_failure ?? DEFAULT_FAILURE} options=${words.map((word) => [word, FAILURES[word]])} onValue=${(word) => onLink({ ...link, on_failure: word })} />`}<//>
          </div>
          <div class="columns">
            ${number('time', 'Time of a call', 'Such as 200ms or 1s.')}
            ${number('memory', 'Memory in bytes', 'Such as 16777216, which is 16 MiB.')}
            ${number('output', 'Size of the message in bytes')}
            ${number('log_lines', 'Lines of log')}
          </div>`}
      </div>
    </div>`;
}

/** Follow the name, or keep one version. Which versions there are an administrator alone may know. */
function Version({ name, digest, plugin, onDigest }) {
  const isAdmin = useContext(Session)?.role === 'admin';
  const versions = useLoad((signal) => (isAdmin ? api.get(`/v1/plugins/${part(name)}/versions`, {}, { signal }) : Promise.resolve(null)), [name, isAdmin]);
  const items = versions.data?.items ?? (plugin ? [{ digest: plugin.digest, version: plugin.version, active: true }] : []);
  const missing = digest && !items.some((item) => item.digest === digest);
  const options = [
    ['', `the active one${plugin ? `, now ${plugin.version}` : ''}`],
    ...items.map((item) => [item.digest, `${item.version}, pinned to ${item.digest.slice(0, 8)}${item.active ? ' (active)' : ''}`]),
    ...(missing ? [[digest, `pinned to ${digest.slice(0, 8)}`]] : []),
  ];
  return html`<${Field} label="Version" hint="A pinned version stays when a new one is activated.">${(a) => html`
    <${Select} ...${a} value=${digest ?? ''} options=${options} onValue=${onDigest} />`}<//>`;
}

/* Choosing a plugin */

function Chooser({ plugins, onChoose, onClose }) {
  const [search, setSearch] = useState('');
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = useMemo(() => (plugins.data ?? []).filter((plugin) => {
    const text = `${plugin.name} ${plugin.summary}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }), [plugins.data, search]);
  const list = useRef(null);
  // No form of its own: the editor may stand inside one, which Enter would send.
  const key = (event) => {
    if (event.key === 'Enter' && event.target.tagName === 'INPUT') {
      event.preventDefault();
      if (found.length) onChoose(found[0].name);
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...list.current.querySelectorAll('button')];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (next) { event.preventDefault(); next.focus(); }
  };
  return html`<${Dialog} title="Add a link" onClose=${onClose} wide>
    <div onKeyDown=${key}>
      <${Field} label="Search plugins">${(a) => html`<${Input} ...${a} type="search" autofocus value=${search} onValue=${setSearch} />`}<//>
      <${Problem} error=${plugins.error} retry=${plugins.reload} />
      ${!plugins.data && plugins.loading && html`<${Spinner} />`}
      <p class="hidden" role="status">${found.length} found</p>
      <ul class="chooser" ref=${list}>${found.map((plugin) => html`
        <li key=${plugin.name}><button type="button" onClick=${() => onChoose(plugin.name)}>
          <span class="strong">${visible(plugin.name)}</span> <span class="faint">${visible(plugin.version)}</span>
          <span class="chooser-summary">${prose(plugin.summary)}</span></button></li>`)}</ul>
      ${plugins.data && found.length === 0 && html`<p class="faint">No plugin has these words in its name or summary.</p>`}
    </div>
  <//>`;
}
