// A text area for code: line numbers, and the line of an error is marked.

import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Check } from './ui.js';
import { visible } from './format.js';

const INDENT = '  ';
/** More lines than this get no numbers: nobody reads them, and each key would draw them all. */
const NUMBERED_MOST = 20_000;

/** "Line 3, column 12: ..." in a plugin's message, or the place that a JSON fault bears. */
export function placeOf(error) {
  if (!error) return null;
  if (error.line) return { line: error.line, column: error.column };
  const match = /\bline (\d+), column (\d+)/i.exec(error.message ?? error);
  return match && { line: Number(match[1]), column: Number(match[2]) };
}

/**
 * `place`: `{line, column}` of an error. The tab key leaves the editor, as it does any control, until the box below asks for
 * spaces; Escape gives it back. Further attributes go to the text area.
 */
export function CodeEditor({ value, onValue, place, rows = 10, readonly, tabs = true, ...rest }) {
  const area = useRef(null);
  const numbers = useRef(null);
  const marks = useRef(null);
  const [indents, setIndents] = useState(false);
  const count = value.split('\n').length;
  const follow = () => {
    if (numbers.current) numbers.current.scrollTop = area.current.scrollTop;
    if (marks.current) marks.current.style.transform = `translateY(${-area.current.scrollTop}px)`;
  };
  useLayoutEffect(follow, [value, place?.line]);
  // What a text came to from outside is written here alone: an assignment of the same text would move the caret.
  useLayoutEffect(() => { if (area.current.value !== value) area.current.value = value; }, [value]);
  useEffect(() => { if (!tabs) setIndents(false); }, [tabs]);
  const key = (event) => {
    if (event.key === 'Escape' && indents) {
      event.stopPropagation();
      event.preventDefault();
      setIndents(false);
    }
    if (event.key !== 'Tab' || !indents || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const changed = event.shiftKey ? outdent(area.current) : insert(area.current, INDENT);
    if (changed) onValue(area.current.value);
  };
  return html`
    <div class="editor ${place ? 'has-mark' : ''}">
      <div class="editor-frame">
        <pre class="editor-numbers" aria-hidden="true" ref=${numbers}>${count <= NUMBERED_MOST && lineNumbers(count, place?.line)}</pre>
        <div class="editor-text">
          <div class="editor-marks" aria-hidden="true" ref=${marks}>${place && place.line <= count && html`
            <div class="editor-mark" style=${{ top: `calc(${place.line - 1} * var(--editor-line))` }}></div>`}</div>
          <textarea ref=${area} rows=${Math.max(rows, 2)} wrap="off" spellcheck="false" autocomplete="off" autocapitalize="off"
            readonly=${readonly} ...${rest} onScroll=${follow} onKeyDown=${key}
            onInput=${(event) => onValue?.(event.target.value)}></textarea>
        </div>
      </div>
      ${tabs && !readonly && html`<p class="editor-foot"><${Check} on=${indents} onChange=${setIndents}
        label=${indents ? 'The tab key indents (Escape: it leaves again)' : 'The tab key indents'} /></p>`}
    </div>`;
}

function lineNumbers(count, marked) {
  const range = (from, to) => Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at).join('\n');
  if (!marked || marked > count) return range(1, count);
  return html`${range(1, marked - 1)}${marked > 1 && '\n'}<b>${marked}</b>${marked < count && '\n'}${range(marked + 1, count)}`;
}

/** In the way that the browser can undo, where it knows one. */
function insert(area, added) {
  if (document.execCommand?.('insertText', false, added)) return false;
  area.setRangeText(added, area.selectionStart, area.selectionEnd, 'end');
  return true;
}

function outdent(area) {
  const start = area.value.lastIndexOf('\n', area.selectionStart - 1) + 1;
  const spaces = /^ {1,2}/.exec(area.value.slice(start))?.[0].length ?? 0;
  if (!spaces) return false;
  const caret = Math.max(start, area.selectionStart - spaces);
  area.setRangeText('', start, start + spaces, 'preserve');
  area.setSelectionRange(caret, caret);
  return true;
}

/** The editor with its label, its hint and what is wrong, and the line of that marked. */
export function CodeField({ label, hint, error, message = error?.message ?? error, id, ...rest }) {
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;
  return html`
    <div class="field ${error ? 'wrong' : ''}">
      <label for=${id}>${label}</label>
      <${CodeEditor} ...${rest} id=${id} place=${placeOf(error)} aria-describedby=${described} aria-invalid=${error ? 'true' : undefined} />
      ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
      ${error && html`<p class="error" id="${id}-error">${visible(message)}</p>`}
    </div>`;
}
