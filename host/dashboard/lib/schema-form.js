// A form made from a JSON Schema, over the JSON text of a configuration. Only what somebody changes is changed: digits, the order
// of members and whatever the form cannot show stay as they are.

import { html, useEffect, useMemo, useRef, useState } from './html.js';
import { Area, Button, Check, Field, Input, Select, prose } from './ui.js';
import { visible } from './format.js';
import { CodeField } from './editor.js';
import { faultOf, isTooDeep, member, nodeOf, plain, read, step, text, withMember, write } from './tree.js';

/** What the server shows in the place of a stored text; sent back, it keeps that. */
export const MASK = '***';
const KEPT = 'Stored, and not shown. It stays unless you change it.';
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
/** Texts that may be longer than this are written in the editor, or in an area. */
const EDITOR_LENGTH = 16_384;
const AREA_LENGTH = 2_000;
/** An object with more optional members than this shows those that it has, and buttons for the others. */
const SHOWN_OPTIONAL = 3;
const LONGEST_REFERENCE = 32;

/* Reading a schema */

function pointed(root, reference) {
  const steps = reference.replace(/^#/, '').split('/').slice(1);
  return steps.reduce((at, name) => at?.[decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~')], root);
}

/** Without references and `allOf`. What stands beside a reference goes before what it leads to. */
function resolve(given, root) {
  let schema = given && typeof given === 'object' ? given : {};
  for (let hops = 0; schema.$ref && hops < LONGEST_REFERENCE; hops += 1) {
    const { $ref, ...beside } = schema;
    const target = pointed(root, $ref);
    schema = { ...(typeof target === 'object' ? target : {}), ...beside };
  }
  if (Array.isArray(schema.allOf)) {
    const { allOf, ...beside } = schema;
    const all = [...allOf.map((one) => resolve(one, root)), beside];
    const properties = Object.assign({}, ...all.map((one) => one.properties));
    const required = all.flatMap((one) => one.required ?? []);
    schema = { ...Object.assign({}, ...all), ...(Object.keys(properties).length && { properties }), ...(required.length && { required }) };
  }
  return schema;
}

const typesOf = (schema) => {
  if (schema.type) return [].concat(schema.type);
  if (schema.properties || schema.additionalProperties) return ['object'];
  if (schema.items || schema.prefixItems) return ['array'];
  return [];
};

const KINDS = { string: 'text', integer: 'number', number: 'number', boolean: 'truth', array: 'list', object: 'object', null: 'const' };

/** What a form shows for a schema: `{kind, schema, nullable, ...}`. */
export function shapeOf(given, root) {
  const schema = resolve(given, root);
  if ('const' in schema) return { kind: 'const', schema, value: schema.const };
  if (Array.isArray(schema.enum)) {
    const words = schema.enum.filter((value) => value !== null).map((value) => ({ value }));
    return { kind: 'enum', schema, words, nullable: words.length < schema.enum.length };
  }
  const alternatives = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(alternatives) && !schema.properties) return shapeOfAlternatives(schema, alternatives, root);
  const all = typesOf(schema);
  const types = all.filter((type) => type !== 'null');
  const nullable = types.length < all.length;
  if (types.length === 0) return nullable ? { kind: 'const', schema, value: null } : { kind: 'any', schema };
  if (types.length > 1) {
    const { type, ...rest } = schema;
    return { kind: 'choice', schema, nullable, alternatives: types.map((one) => shapeOf({ ...rest, type: one }, root)) };
  }
  return { kind: KINDS[types[0]] ?? 'any', schema, nullable, whole: types[0] === 'integer' };
}

function shapeOfAlternatives(schema, alternatives, root) {
  const { oneOf, anyOf, ...beside } = schema;
  const shapes = alternatives.map((one) => shapeOf(one, root));
  const real = shapes.filter((one) => !(one.kind === 'const' && one.value === null));
  const nullable = real.length < shapes.length || real.some((one) => one.nullable);
  if (real.length === 1) return { ...real[0], nullable, schema: { ...real[0].schema, ...beside } };
  const words = real.flatMap((one) => (one.kind === 'const' ? [{ value: one.value, about: one.schema.description }] : one.words ?? [null]));
  if (!words.includes(null)) return { kind: 'enum', schema: beside, words, nullable };
  return { kind: 'choice', schema: beside, nullable, alternatives: real };
}

const isNull = (node) => node?.kind === 'plain' && node.text === 'null';
const isMasked = (node) => node?.kind === 'text' && node.text === MASK;

/** Whether a value is of the kind that a form of this shape can show. */
function fits(node, shape, root, deep = 3) {
  if (shape.kind === 'any') return true;
  if (isNull(node)) return Boolean(shape.nullable) || (shape.kind === 'const' && shape.value === null);
  if (shape.kind === 'const') return write(node) === JSON.stringify(shape.value) || isMasked(node);
  if (shape.kind === 'enum') return isMasked(node) || shape.words.some((word) => write(node) === JSON.stringify(word.value));
  if (shape.kind === 'text') return node.kind === 'text';
  if (shape.kind === 'number') return node.kind === 'plain' && NUMBER.test(node.text);
  if (shape.kind === 'truth') return node.kind === 'plain' && (node.text === 'true' || node.text === 'false');
  if (shape.kind === 'list') return node.kind === 'array';
  if (shape.kind === 'choice') return shape.alternatives.some((one) => fits(node, one, root, deep));
  return node.kind === 'object' && (deep === 0 || suits(node, shape.schema, root, deep - 1));
}

/** Looks a little into an object: enough to tell alternatives apart. */
function suits(node, schema, root, deep) {
  const properties = schema.properties ?? {};
  const has = (name) => node.members.some(([own]) => own === name);
  if ((schema.required ?? []).some((name) => !has(name))) return false;
  return node.members.every(([name, value]) => (Object.hasOwn(properties, name)
    ? fits(value, shapeOf(properties[name], root), root, deep)
    : schema.additionalProperties !== false));
}

/** A first value: as little as the schema asks for. */
function blank(shape, root, deep = 6) {
  const preset = shape.schema.default;
  if (preset !== undefined && preset !== null) return nodeOf(preset);
  switch (shape.kind) {
    case 'const': return nodeOf(shape.value);
    case 'enum': return nodeOf(shape.words[0]?.value);
    case 'text': return text('');
    case 'number': return plain(String(shape.schema.minimum ?? 0));
    case 'truth': return plain('false');
    case 'list': return { kind: 'array', items: [] };
    case 'choice': return blank(shape.alternatives[0], root, deep);
    case 'object': {
      const { properties = {}, required = [] } = shape.schema;
      const members = deep === 0 ? [] : required.map((name) => [name, blank(shapeOf(properties[name], root), root, deep - 1)]);
      return { kind: 'object', members };
    }
    default: return plain('null');
  }
}

/** As `blank`, for somebody who asked for it: a list has its first item. */
function started(shape, root) {
  const node = blank(shape, root);
  return node.kind === 'array' && node.items.length === 0 ? { kind: 'array', items: [blank(shapeOf(shape.schema.items ?? {}, root), root)] } : node;
}

/** Whether a value of this shape is one control, and not a group of them. */
const isSimple = (shape) => ['text', 'number', 'truth', 'enum', 'const'].includes(shape.kind) && !isLong(shape);
const isLong = (shape) => shape.kind === 'text' && shape.schema.maxLength >= EDITOR_LENGTH;

/* The form */

/**
 * `schema`: a parsed JSON Schema. `value`: the configuration's JSON text; empty where there is none. `errors`:
 * `[{pointer, message}]`, with pointers into the configuration. A text that is no JSON is not shown: see `canShow`.
 */
export function SchemaForm({ schema, value, onValue, errors = [] }) {
  const root = useRef(null);
  const wanted = useRef(null);
  const node = useMemo(() => (value?.trim() ? read(value) : undefined), [value]);
  const shape = useMemo(() => shapeOf(schema, schema), [schema]);
  useEffect(() => {
    if (wanted.current === null) return;
    const place = [...root.current.querySelectorAll('[data-pointer]')].find((one) => one.dataset.pointer === wanted.current);
    wanted.current = null;
    (place?.querySelector('input, select, textarea') ?? place?.querySelector('button'))?.focus();
  });
  const form = { root: schema, errors, focus: (pointer) => { wanted.current = pointer; } };
  const onNode = (next) => onValue(next === undefined ? '' : write(next));
  return html`<div class="schema-form" ref=${root}>
    <${Value} form=${form} shape=${shape} node=${node} onNode=${onNode} at="" label="Configuration" bare top />
  </div>`;
}

/** Whether the form can show a text: it is JSON, not too deep, and of the kind that the schema asks for. */
export function canShow(schema, value) {
  if (!schema || typeof schema !== 'object') return false;
  if (!value?.trim()) return true;
  if (faultOf(value)) return false;
  const shape = shapeOf(schema, schema);
  try {
    const node = read(value);
    return !isTooDeep(node) && (shape.kind !== 'object' || node.kind === 'object' || isNull(node));
  } catch {
    return false;
  }
}

const at = (form, pointer) => form.errors.filter((error) => error.pointer === pointer);
const below = (form, pointer) => form.errors.filter((error) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`));
const said = (errors) => (errors.length ? errors.map((error) => error.message).join(' ') : undefined);

/** One value: `onNode(undefined)` takes it away, where it is `optional`. */
function Value(props) {
  const { form, shape, node, optional } = props;
  if (node !== undefined && !fits(node, shape, form.root, shape.kind === 'choice' ? 3 : 0)) {
    // A null where a value is optional says as much as its absence.
    if (!(optional && isNull(node))) return html`<${AnyValue} ...${props} note="It is not of the kind that the plugin describes, and is shown as JSON." />`;
  }
  switch (shape.kind) {
    case 'const': return html`<${Constant} ...${props} />`;
    case 'enum': return html`<${OneOf} ...${props} />`;
    case 'text': return html`<${Text} ...${props} />`;
    case 'number': return html`<${Num} ...${props} />`;
    case 'truth': return html`<${Truth} ...${props} />`;
    case 'list': return html`<${List} ...${props} />`;
    case 'object': return html`<${Members} ...${props} />`;
    case 'choice': return html`<${Choice} ...${props} />`;
    default: return html`<${AnyValue} ...${props} />`;
  }
}

/* Single controls. `bare`: the label is for screen readers alone, since something else stands before it. */

const hintOf = ({ form, shape, note, more }) => {
  const parts = [!form.quiet && shape.schema.description, note, more].filter(Boolean);
  return parts.length ? parts.map((part, index) => html`${index > 0 && ' '}${prose(part)}`) : undefined;
};

/** Most members may be left out, so those that may not are marked. */
const needed = (label) => html`${label} <span class="faint">(needed)</span>`;

const Labelled = ({ form, at: pointer, label, optional, bare, shape, node, note, more, error, children, long }) => html`
  <div class="form-cell ${long ? 'long' : ''} ${bare ? 'bare' : ''}" data-pointer=${pointer}>
    <${Field} label=${optional || bare ? label : needed(label)} hint=${bare ? note : hintOf({ form, shape, note, more })}
      error=${error ?? said(below(form, pointer))}>${children}<//>
  </div>`;

const defaultOf = (schema) => (schema.default === undefined || schema.default === null ? undefined : schema.default);

function Constant({ shape, node, onNode, optional, ...rest }) {
  const words = JSON.stringify(shape.value);
  return html`<${Labelled} shape=${shape} optional=${optional} ...${rest}>${(a) => (optional
    ? html`<${Select} ...${a} value=${node ? 'yes' : 'no'} options=${[['no', 'left out'], ['yes', words]]} onValue=${(word) => onNode(word === 'yes' ? nodeOf(shape.value) : undefined)} />`
    : html`<input ...${a} readonly value=${words} />`)}<//>`;
}

function OneOf({ shape, node, onNode, optional, ...rest }) {
  const shown = (value) => (typeof value === 'string' ? value : JSON.stringify(value));
  const preset = defaultOf(shape.schema);
  const now = node && !isNull(node) ? write(node) : '';
  const word = shape.words.find((one) => JSON.stringify(one.value) === now);
  const options = [
    (optional || !node) && ['', preset === undefined ? 'as the plugin has it' : `${shown(preset)} (default)`],
    isMasked(node) && [now, 'stored, and not shown'],
    ...shape.words.map((one) => [JSON.stringify(one.value), shown(one.value)]),
  ].filter(Boolean);
  const about = word?.about ?? (now === '' && shape.words.find((one) => one.value === preset)?.about);
  return html`<${Labelled} shape=${shape} node=${node} optional=${optional} more=${about} ...${rest}>${(a) => html`
    <${Select} ...${a} value=${now} options=${options} onValue=${(next) => onNode(next === '' ? undefined : read(next))} />`}<//>`;
}

function Text(props) {
  const { form, shape, node, onNode, optional, label, at: pointer } = props;
  const masked = useRef(false);
  if (isMasked(node)) masked.current = true;
  const isKept = isMasked(node);
  const change = (next) => {
    if (next === '' && masked.current) onNode(text(MASK));
    else onNode(next === '' && optional ? undefined : text(next));
  };
  if (isLong(shape)) return html`<${LongText} ...${props} masked=${masked} />`;
  const { schema } = shape;
  const value = isKept ? '' : node?.text ?? '';
  const preset = defaultOf(schema);
  const more = [
    isKept ? KEPT : null,
    ...(schema.examples?.length ? [`For example: ${schema.examples.map((one) => `\`${one}\``).join(', ')}.`] : []),
  ].filter(Boolean).join(' ');
  const lines = schema.maxLength >= AREA_LENGTH || value.includes('\n');
  const area = { value, onValue: change, placeholder: isKept ? MASK : preset, required: !optional };
  const control = (a) => {
    if (schema.writeOnly) return html`<${Input} ...${a} ...${area} type="password" autocomplete="new-password" />`;
    return lines ? html`<${Area} ...${a} ...${area} rows=${Math.min(8, value.split('\n').length + 1)} />` : html`<${Input} ...${a} ...${area} />`;
  };
  return html`<${Labelled} form=${form} at=${pointer} label=${label} shape=${shape} optional=${optional} bare=${props.bare} more=${more}
    note=${props.bare && isKept ? KEPT : undefined}>${control}<//>`;
}

/** A program or a template. */
function LongText({ form, shape, node, onNode, label, at: pointer, masked }) {
  const [id] = useState(() => `code-${(editors += 1)}`);
  const errors = below(form, pointer);
  if (isMasked(node)) {
    return html`<div class="form-cell long" data-pointer=${pointer}>
      <div class="field"><p class="strong">${label}</p><p class="note">${KEPT}</p>
      ${errors.length > 0 && html`<p class="error">${visible(said(errors))}</p>`}
      <${Button} onClick=${() => { form.focus(pointer); onNode(text('')); }}>Write a new one<//></div></div>`;
  }
  return html`<div class="form-cell long" data-pointer=${pointer}>
    <${CodeField} id=${id} label=${label} hint=${form.quiet ? undefined : prose(shape.schema.description)} value=${node?.text ?? ''} rows=${14}
      error=${errors[0]} message=${said(errors)} onValue=${(next) => onNode(text(next))} />
    ${masked.current && html`<${Button} onClick=${() => onNode(text(MASK))}>Keep the stored one<//>`}
  </div>`;
}
let editors = 0;

function Num({ shape, node, onNode, optional, ...rest }) {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = shape.schema;
  const shown = node && !isNull(node) ? node.text : '';
  const [draft, setDraft] = useDraft(shown);
  const wrong = numberFault(draft, shape, optional);
  const change = (next) => {
    setDraft(next);
    if (next.trim() === '') { if (optional) onNode(undefined); } else if (!numberFault(next, shape, optional)) onNode(plain(next.trim()));
  };
  const preset = defaultOf(shape.schema);
  const more = [
    minimum !== undefined && maximum !== undefined ? `From ${minimum} to ${maximum}.`
      : minimum > 0 ? `At least ${minimum}.` : maximum !== undefined ? `At most ${maximum}.` : null,
    exclusiveMinimum !== undefined && `More than ${exclusiveMinimum}.`,
    exclusiveMaximum !== undefined && `Less than ${exclusiveMaximum}.`,
  ].filter(Boolean).join(' ');
  return html`<${Labelled} shape=${shape} optional=${optional} more=${more} error=${wrong ?? undefined} ...${rest}>${(a) => html`
    <${Input} ...${a} inputmode="decimal" value=${draft} placeholder=${preset} onValue=${change} />`}<//>`;
}

function numberFault(draft, shape, optional) {
  const given = draft.trim();
  const { minimum, maximum } = shape.schema;
  if (given === '') return optional ? null : 'A number has to stand here.';
  if (!NUMBER.test(given)) return 'It is not a number. What was there before still holds.';
  if (shape.whole && !Number.isInteger(Number(given))) return 'It has to be a whole number. What was there before still holds.';
  if (Number(given) < minimum) return `It has to be at least ${minimum}. What was there before still holds.`;
  if (Number(given) > maximum) return `It has to be at most ${maximum}. What was there before still holds.`;
  return null;
}

/** What is typed, until something else comes from outside. */
function useDraft(shown) {
  const [draft, setDraft] = useState(shown);
  const last = useRef(shown);
  if (last.current !== shown) {
    last.current = shown;
    if (draft.trim() !== shown) setDraft(shown);
  }
  return [draft, setDraft];
}

function Truth({ form, shape, node, onNode, optional, label, at: pointer, bare }) {
  const preset = defaultOf(shape.schema);
  const on = node && !isNull(node) ? node.text === 'true' : Boolean(preset);
  const errors = said(below(form, pointer));
  const isOpen = optional && preset === undefined;
  if (isOpen) {
    const value = node && !isNull(node) ? node.text : '';
    return html`<${Labelled} form=${form} at=${pointer} label=${label} shape=${shape} optional bare=${bare}>${(a) => html`
      <${Select} ...${a} value=${value} options=${[['', 'as the plugin has it'], ['true', 'yes'], ['false', 'no']]} onValue=${(word) => onNode(word ? plain(word) : undefined)} />`}<//>`;
  }
  return html`<div class="form-cell" data-pointer=${pointer}><div class="field ${errors ? 'wrong' : ''}">
    <${Check} on=${on} label=${label} onChange=${(next) => onNode(plain(String(next)))} />
    ${!bare && !form.quiet && shape.schema.description && html`<p class="hint">${prose(shape.schema.description)}</p>`}
    ${errors && html`<p class="error">${visible(errors)}</p>`}</div></div>`;
}

/** Any JSON value, as text. */
function AnyValue({ form, shape, node, onNode, optional, label, at: pointer, bare, note }) {
  const shown = node === undefined ? '' : write(node);
  const [draft, setDraft] = useDraftOfJson(shown);
  const fault = draft.trim() ? faultOf(draft) : null;
  const change = (next) => {
    setDraft(next);
    if (next.trim() === '') { if (optional) onNode(undefined); } else if (!faultOf(next)) onNode(read(next));
  };
  const hint = [!bare && shape.schema.description && html`${prose(shape.schema.description)} `, note ? `${note} ` : '', 'Any JSON value; a text stands in quotes.'];
  return html`<div class="form-cell ${draft.length > 60 ? 'long' : ''}" data-pointer=${pointer}>
    <${Field} label=${optional || bare ? label : needed(label)} hint=${hint} error=${fault?.message ?? said(below(form, pointer))}>${(a) => html`
      <${Area} ...${a} rows=${Math.min(12, draft.split('\n').length)} value=${draft} onValue=${change} />`}<//></div>`;
}

function useDraftOfJson(shown) {
  const [draft, setDraft] = useState(shown);
  const last = useRef(shown);
  if (last.current !== shown) {
    last.current = shown;
    let same = false;
    try { same = write(read(draft)) === shown; } catch { /* it is being written */ }
    if (!same) setDraft(shown);
  }
  return [draft, setDraft];
}

/* Groups */

/** Ids for the items of a list, which move with them: a control that somebody types into stays that item's. */
export function useIds(count) {
  const next = useRef(0);
  const ids = useRef([]);
  while (ids.current.length < count) ids.current.push((next.current += 1));
  ids.current.length = count;
  return {
    ids: ids.current,
    swap: (one, other) => { [ids.current[one], ids.current[other]] = [ids.current[other], ids.current[one]]; },
    remove: (index) => { ids.current.splice(index, 1); },
  };
}

export const swapped = (list, one, other) => list.map((item, index) => (index === one ? list[other] : index === other ? list[one] : item));

/** Up, down, remove. */
const Tools = ({ name, index, count, move, remove }) => html`
  <div class="form-tools">
    ${move && html`<${Button} kind="quiet" icon="up" aria-label="Move ${name} up" disabled=${index === 0} onClick=${() => move(index, index - 1)} />
      <${Button} kind="quiet" icon="down" aria-label="Move ${name} down" disabled=${index === count - 1} onClick=${() => move(index, index + 1)} />`}
    ${remove && html`<${Button} kind="quiet" icon="close" aria-label="Remove ${name}" onClick=${() => remove(index)} />`}
  </div>`;

function Group({ form, at: pointer, label, shape, optional, onNode, bare, top, children, errors }) {
  if (top) return html`<div class="form-top">${errors && html`<p class="error" role="alert">${visible(errors)}</p>`}${children}</div>`;
  return html`<fieldset class="form-group long" data-pointer=${pointer}>
    <legend class=${bare ? 'hidden' : ''}>${label}</legend>
    ${!bare && (shape.schema.description || optional) && html`<div class="form-group-head">
      ${shape.schema.description && html`<p class="hint">${prose(shape.schema.description)}</p>`}
      ${optional && html`<${Button} kind="quiet" icon="close" aria-label="Remove ${label}" onClick=${() => onNode(undefined)} />`}</div>`}
    ${errors && html`<p class="error" role="alert">${visible(errors)}</p>`}
    ${children}
  </fieldset>`;
}

function List(props) {
  const { form, shape, node, onNode, at: pointer, label } = props;
  const items = node?.kind === 'array' ? node.items : [];
  const { ids, swap, remove } = useIds(items.length);
  const ofItems = useMemo(() => shapeOf(shape.schema.items ?? {}, form.root), [shape.schema, form.root]);
  const change = (next) => onNode({ kind: 'array', items: next });
  const add = () => {
    form.focus(`${pointer}/${items.length}`);
    change([...items, blank(ofItems, form.root)]);
  };
  const most = shape.schema.maxItems;
  const simple = isSimple(ofItems);
  const masked = useRef(0);
  masked.current = Math.max(masked.current, hasMask(node) ? items.length : 0);
  return html`<${Group} ...${props} errors=${said(at(form, pointer))}>
    <ul class="form-list ${simple ? 'simple' : ''}">${items.map((item, index) => html`
      <li key=${ids[index]}>
        ${!simple && html`<p class="form-item">${index + 1}</p>`}
        <${Value} form=${index > 0 ? { ...form, quiet: true } : form} shape=${ofItems} node=${item} at="${pointer}/${index}" label="${label} ${index + 1}" bare
          onNode=${(next) => change(items.map((own, place) => (place === index ? next ?? blank(ofItems, form.root) : own)))} />
        <${Tools} name="${label} ${index + 1}" index=${index} count=${items.length}
          move=${(from, to) => { swap(from, to); form.focus(`${pointer}/${to}`); change(swapped(items, from, to)); }}
          remove=${(place) => { remove(place); change(items.filter((_, own) => own !== place)); }} />
      </li>`)}</ul>
    ${masked.current > 0 && masked.current !== items.length && html`<p class="hint">Texts of a list that has become longer or shorter are not kept: write those that are shown as stored once more.</p>`}
    <${Button} icon="plus" disabled=${items.length >= most} onClick=${add}>Add to ${label}<//>
  <//>`;
}

const hasMask = (node) => isMasked(node)
  || (node?.kind === 'array' ? node.items.some(hasMask) : node?.kind === 'object' && node.members.some(([, value]) => hasMask(value)));

/** Plugins describe their members in the order of the alphabet. People expect what has to be there first, and a title before its text. */
const FIRST = ['keep', 'title', 'label', 'name', 'path', 'value', 'text', 'template', 'code', 'fields', 'link'];

function inOrder(properties, required) {
  const rank = ([name]) => (required.includes(name) ? 0 : 100) + (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return Object.entries(properties).map((entry, at) => [entry, at]).sort(([a, i], [b, j]) => rank(a) - rank(b) || i - j).map(([entry]) => entry);
}

function Members(props) {
  const { form, shape, node, onNode, at: pointer, top } = props;
  const { schema } = shape;
  const { properties = {}, required = [] } = schema;
  const own = node?.kind === 'object' ? node : { kind: 'object', members: [] };
  const shapes = useMemo(() => inOrder(properties, required).map(([name, one]) => [name, shapeOf(one, form.root)]), [properties, form.root]);
  const has = (name) => member(own, name) !== undefined;
  const isOptional = (name) => !required.includes(name);
  const rare = shapes.filter(([name, one]) => isOptional(name) && isSimple(one)).length > (top ? 4 : 1) * SHOWN_OPTIONAL;
  const isShown = ([name, one]) => !isOptional(name) || has(name) || (isSimple(one) && !rare);
  const others = shapes.filter((entry) => !isShown(entry));
  const unknown = own.members.filter(([name]) => !Object.hasOwn(properties, name));
  // An object that says nothing else may have members of any name.
  const further = typeof schema.additionalProperties === 'object' ? schema.additionalProperties
    : schema.additionalProperties !== false && shapes.length === 0 ? {} : null;
  const missed = form.errors.filter((error) => {
    if (error.pointer === pointer) return true;
    if (!error.pointer.startsWith(`${pointer}/`)) return false;
    const rest = error.pointer.slice(pointer.length);
    const isIn = (name) => rest === step(name) || rest.startsWith(`${step(name)}/`);
    return !shapes.some((entry) => isShown(entry) && isIn(entry[0])) && !(further && unknown.some(([name]) => isIn(name)));
  });
  const errors = missed.map((error) => (error.pointer === pointer ? error.message : `${error.pointer.slice(pointer.length + 1)}: ${error.message}`));
  const set = (name, value) => onNode(withMember(own, name, value));
  return html`<${Group} ...${props} errors=${errors.length ? errors.join(' ') : undefined}>
    <div class="form-grid">${shapes.filter(isShown).map(([name, one]) => html`
      <${Value} key=${name} form=${form} shape=${one} node=${member(own, name)} onNode=${(value) => set(name, value)}
        at=${pointer + step(name)} label=${one.schema.title ?? name} optional=${isOptional(name)} />`)}</div>
    ${further && html`<${Mapped} form=${form} own=${own} names=${unknown.map(([name]) => name)} schema=${further} onNode=${onNode} at=${pointer} most=${schema.maxProperties} />`}
    ${!further && unknown.length > 0 && html`<p class="hint">Not in the plugin's description, and kept as it is: ${unknown.map(([name], index) => html`${index > 0 && ', '}<code>${visible(name)}</code>`)}.</p>`}
    ${others.length > 0 && html`<div class="form-more" role="group" aria-label="Add"><span class="faint">Add</span>${others.map(([name, one]) => html`
      <${Button} key=${name} kind="quiet" icon="plus" title=${one.schema.description} onClick=${() => { form.focus(pointer + step(name)); set(name, started(one, form.root)); }}>${one.schema.title ?? name}<//>`)}</div>`}
  <//>`;
}

/** Members under names of one's own. */
function Mapped({ form, own, names, schema, onNode, at: pointer, most }) {
  const shape = useMemo(() => shapeOf(schema, form.root), [schema, form.root]);
  const { ids, swap, remove } = useIds(names.length);
  const placeOf = (index) => own.members.findIndex(([name]) => name === names[index]);
  const members = (next) => onNode({ kind: 'object', members: next });
  const rename = (index, name) => members(own.members.map((one, place) => (place === placeOf(index) ? [name, one[1]] : one)));
  const add = () => {
    let name = 'name';
    for (let more = 2; own.members.some(([known]) => known === name); more += 1) name = `name_${more}`;
    form.focus(`${pointer}${step(name)}#name`);
    members([...own.members, [name, blank(shape, form.root)]]);
  };
  return html`
    <ul class="form-map ${isSimple(shape) ? 'simple' : ''}">${names.map((name, index) => html`
      <li key=${ids[index]}>
        <${MemberName} name=${name} at="${pointer}${step(name)}#name" taken=${(next) => own.members.some(([known]) => known === next)} onName=${(next) => rename(index, next)} />
        <${Value} form=${form} shape=${shape} node=${member(own, name)} at=${pointer + step(name)} label="Value of ${name}" bare
          onNode=${(value) => members(own.members.map((one, place) => (place === placeOf(index) ? [name, value ?? blank(shape, form.root)] : one)))} />
        <${Tools} name=${name} index=${index} count=${names.length}
          move=${(from, to) => { const [one, other] = [placeOf(from), placeOf(to)]; swap(from, to); members(swapped(own.members, one, other)); }}
          remove=${(at) => { const place = placeOf(at); remove(at); members(own.members.filter((_, one) => one !== place)); }} />
      </li>`)}</ul>
    <${Button} icon="plus" disabled=${names.length >= most} onClick=${add}>Add a name<//>`;
}

function MemberName({ name, at: pointer, taken, onName }) {
  const [draft, setDraft] = useDraft(name);
  const isTwice = draft !== name && taken(draft);
  const change = (next) => {
    setDraft(next);
    if (!taken(next)) onName(next);
  };
  return html`<div class="form-cell bare" data-pointer=${pointer}><${Field} label="Name" error=${isTwice ? 'This name is there already.' : undefined}>${(a) => html`
    <${Input} ...${a} value=${draft} onValue=${change} />`}<//></div>`;
}

function Choice(props) {
  const { form, shape, node, onNode, at: pointer, label, optional, bare } = props;
  const { alternatives } = shape;
  const [picked, setPicked] = useState(null);
  const suit = (index) => alternatives[index] && fits(node, alternatives[index], form.root);
  const now = node === undefined || isNull(node) ? -1
    : picked !== null && suit(picked) ? picked : alternatives.findIndex((_, index) => suit(index));
  const names = useMemo(() => namesOf(alternatives), [alternatives]);
  const options = [
    (optional || shape.nullable || now < 0) && ['-1', optional ? 'left out' : 'nothing'],
    ...names.map((name, index) => [String(index), name]),
  ].filter(Boolean);
  const pick = (word) => {
    const index = Number(word);
    setPicked(index);
    if (index < 0) onNode(optional ? undefined : plain('null'));
    else onNode(blank(alternatives[index], form.root));
  };
  return html`<div class="form-choice long ${bare ? 'bare' : ''} ${bare && now >= 0 && isSimple(alternatives[now]) ? 'flat' : ''}" data-pointer=${pointer}>
    <${Field} label=${bare ? `Kind of ${label}` : optional ? label : needed(label)} hint=${bare ? undefined : prose(shape.schema.description)} error=${now < 0 ? said(below(form, pointer)) : undefined}>${(a) => html`
      <${Select} ...${a} value=${String(now)} options=${options} onValue=${pick} />`}<//>
    ${now >= 0 && html`<${Value} key=${now} form=${form} shape=${alternatives[now]} node=${node} onNode=${onNode} at=${pointer} label=${label} bare />`}
  </div>`;
}

const PLAIN_NAMES = { text: 'a text', number: 'a number', truth: 'yes or no', list: 'a list', object: 'an object', any: 'any value', choice: 'one of several' };

/** Names that tell alternatives apart. */
function namesOf(alternatives) {
  const own = alternatives.map((one) => one.schema.title ?? (one.kind === 'const' ? JSON.stringify(one.value)
    : one.kind === 'enum' ? `one of ${one.words.map((word) => word.value).join(', ')}` : PLAIN_NAMES[one.kind]));
  return own.map((name, index) => {
    if (own.filter((other) => other === name).length === 1) return name;
    const { required = [], description } = alternatives[index].schema;
    if (required.length) return `${name} with ${required.join(', ')}`;
    return description ? `${name}: ${description.split('. ')[0].slice(0, 60)}` : `${name} (${index + 1})`;
  });
}
