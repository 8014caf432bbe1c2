// Charts over time. The numbers behind each are in a table for those who do not see it.

import { html, useEffect, useRef } from './html.js';
import { time } from './format.js';

let library = null;

/** uPlot is no module: a script that is fetched when the first chart is drawn. */
function load() {
  library ??= new Promise((ready, failed) => {
    const style = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: '/dashboard/vendor/uplot.css' });
    const script = Object.assign(document.createElement('script'), { src: '/dashboard/vendor/uplot.js' });
    script.onload = () => ready(window.uPlot);
    script.onerror = () => { library = null; failed(new Error('The chart could not be loaded.')); };
    document.head.append(style, script);
  });
  return library;
}

/** For a page that will draw charts once its numbers are there: both come at the same time. */
export const fetchCharts = () => { load().catch(() => { /* told where one is drawn */ }); };

const HEIGHT = 220;

/** As a canvas takes it: a property by itself would be read as it is written, for both themes. */
function colour(name) {
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/**
 * `at`: moments in seconds. `series`: `[{label, values, colour: '--good', kind: 'bars'|'line', write}]`; `null` is a gap.
 * With `stacked`, bars stand on each other.
 */
export function TimeChart({ label, at, series, stacked = false, write = String }) {
  const place = useRef(null);
  const chart = useRef(null);
  const data = [at, ...(stacked ? stack(series) : series.map((one) => one.values))];
  // What is drawn anew, for another theme, is what was told last.
  const latest = useRef(data);
  latest.current = data;
  const shape = JSON.stringify(series.map((one) => [one.label, one.colour, one.kind]));
  useEffect(() => {
    let gone = false;
    let watch;
    load().then((UPlot) => {
      if (gone) return;
      const make = () => {
        chart.current?.destroy();
        chart.current = new UPlot(options(UPlot, place.current, series, stacked, write), latest.current, place.current);
      };
      make();
      watch = new ResizeObserver(() => chart.current?.setSize({ width: place.current.clientWidth, height: HEIGHT }));
      watch.observe(place.current);
      themes.add(make);
      place.current.remake = make;
    }).catch(() => {});
    return () => {
      gone = true;
      watch?.disconnect();
      themes.delete(place.current?.remake);
      chart.current?.destroy();
      chart.current = null;
    };
  }, [shape]);
  useEffect(() => { chart.current?.setData(data); });
  return html`
    <figure class="chart">
      <div ref=${place} aria-hidden="true"></div>
      <figcaption class="legend">${series.map((one) => html`
        <span key=${one.label}><i class="dot" data-colour=${one.colour.slice(2)}></i>${one.label}</span>`)}</figcaption>
      <table class="hidden"><caption>${label}</caption>
        <thead><tr><th scope="col">Time</th>${series.map((one) => html`<th scope="col">${one.label}</th>`)}</tr></thead>
        <tbody>${at.map((moment, row) => html`<tr key=${moment}><th scope="row">${time(moment * 1000)}</th>${series.map((one) => html`
          <td>${one.values[row] == null ? '–' : write(one.values[row])}</td>`)}</tr>`)}</tbody></table>
    </figure>`;
}

/** Drawn anew where light changes to dark. */
const themes = new Set();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => themes.forEach((make) => make()));
addEventListener('themechange', () => themes.forEach((make) => make()));

/** Heights that stand on each other, the highest first: what is drawn later covers what it stands on. */
function stack(series) {
  const sums = series[0]?.values.map(() => 0) ?? [];
  return series.map((one) => one.values.map((value, at) => (sums[at] += value ?? 0))).reverse();
}

const hours = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const days = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

/** A moment below a chart: where a day begins, its date. */
function clock(at) {
  const moment = new Date(at * 1000);
  return (moment.getHours() === 0 && moment.getMinutes() === 0 ? days : hours).format(moment);
}

function options(UPlot, place, series, stacked, write) {
  const axis = { stroke: colour('--text-faint'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const drawn = (stacked ? [...series].reverse() : series).map((one) => ({
    label: one.label,
    stroke: colour(one.colour),
    fill: one.kind === 'line' ? undefined : colour(one.colour),
    width: one.kind === 'line' ? 2 : 0,
    paths: one.kind === 'line' ? undefined : UPlot.paths.bars({ size: [0.8, 40], align: 1 }),
    // Few moments would make lines too short to be seen.
    points: one.kind === 'line' ? { show: (chart, at) => chart.data[at].filter((value) => value != null).length < 24, size: 6, fill: colour(one.colour) } : { show: false },
    value: (_, value) => (value == null ? '–' : write(value)),
  }));
  const hasBars = series.some((one) => one.kind !== 'line');
  return {
    width: place.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { show: false } },
    scales: {
      // The last bar is as wide as the others, and begins at its moment.
      x: hasBars ? { range: ({ data: [at] }, first, last) => [first, last + (at.length > 1 ? at[1] - at[0] : 60)] } : {},
      y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] },
    },
    axes: [{ ...axis, size: 28, values: (_, ticks) => ticks.map(clock) },
      // Where things are counted, there are no halves.
      { ...axis, size: 60, values: (_, ticks) => ticks.map((tick) => (hasBars && tick % 1 ? '' : write(tick))) }],
    series: [{}, ...drawn],
  };
}
