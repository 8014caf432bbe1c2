// The one place that knows which library draws.

import { html as made } from '../vendor/htm-preact.js';

export {
  render, Component, createContext, useState, useReducer, useEffect, useLayoutEffect, useRef, useMemo,
  useCallback, useContext, useErrorBoundary,
} from '../vendor/htm-preact.js';

/** Characters that turn the direction of what stands around them. */
const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Attributes that somebody reads. The others have to stay what they are. */
const READ = ['title', 'aria-label', 'alt', 'label', 'placeholder'];
const seen = new WeakSet();

const escaped = (text) => text.replace(TURNS, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * No text that is shown can turn around what stands beside it, wherever it came from: a page cannot forget to see to it. What
 * stands in a control that somebody edits is a value, and stays.
 */
function steady(node) {
  if (typeof node === 'string') return escaped(node);
  // A list may be somebody's own, so it is left as it is.
  if (Array.isArray(node)) return node.map(steady);
  if (!node || typeof node !== 'object' || seen.has(node)) return node;
  seen.add(node);
  if (typeof node.type === 'string' && node.props) {
    const { props } = node;
    for (const name of READ) if (typeof props[name] === 'string') props[name] = escaped(props[name]);
    if (props.children !== undefined) props.children = steady(props.children);
  } else if (typeof node.props?.children === 'object') {
    // What a component is given inside its tags. Its texts it may use for anything, and draws through here.
    [].concat(node.props.children).forEach(steady);
  }
  return node;
}

export const html = (...template) => steady(made(...template));
