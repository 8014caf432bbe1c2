// The one place that knows which library draws.
export {
  html, render, Component, createContext, useState, useReducer, useEffect, useLayoutEffect, useRef, useMemo,
  useCallback, useContext, useErrorBoundary,
} from '../vendor/htm-preact.js';
