// SPDX-License-Identifier: LGPL-3.0-or-later
// A stacked area chart on a canvas: uPlot with stacking, our axes and drawing of event bands.
import uPlot from 'uplot';
import type { Event } from '../api';
import { cssColour, zone } from '../settings';
import { clock, date, toNs, toSeconds } from '../units';

export interface Layer { name: string; colour: string; filter: string; values: (number | null)[] }
export interface PlotData { times: number[]; step: number; layers: Layer[] }
export interface Geometry { left: number; width: number; min: number; max: number }

export const PLOT_HEIGHT = 320;
const DAY = 86400;
const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300,
  600, 900, 1800, 3600, 7200, 14400, 21600, 43200, ...[1, 2, 7, 30, 60, 90, 180, 365, 730, 1825, 3650].map((d) => d * DAY)];

// A moment on the axis, as exactly as the steps are wide; midnight is where a day begins.
function axisText(seconds: number, step: number): string {
  const t = toNs(seconds);
  if (step >= 365 * DAY) return date(t).slice(0, 4);
  if (step >= 30 * DAY) return date(t).slice(0, 7);
  const text = clock(t, step < 1 ? 3 : 0);
  if (step >= DAY || /^[0:.]+$/.test(text)) return date(t).slice(5);
  return step < 60 ? text : text.slice(0, 5);
}

// The plot is made with this many series, so that a change of layers needs no new plot (which would
// end a drag that is under way); those without a layer hold nothing.
const SLOTS = 24;

// Running sums, the topmost first: each layer is drawn over the one that contains it.
export function stacked(data: PlotData): uPlot.AlignedData {
  const n = data.times.length;
  const sums: (number | null)[][] = [];
  let below: (number | null)[] = new Array(n).fill(null);
  for (const layer of data.layers) {
    const sum = layer.values.map((v, i) => (v === null ? below[i] ?? null : (below[i] ?? 0) + Math.max(0, v)));
    sums.push(sum);
    below = sum;
  }
  // A value holds until the next begins: the last one needs an end.
  const last = (data.times[n - 1] ?? 0) + data.step;
  const ended = sums.reverse().map((s) => [...s, s[n - 1] ?? null]);
  const none = new Array(n ? n + 1 : 0).fill(null);
  while (ended.length < SLOTS) ended.unshift(none);
  return [n ? [...data.times, last] : [], ...ended.slice(-SLOTS)] as uPlot.AlignedData;
}

export interface PlotHooks {
  layers: () => Layer[];
  events: () => Event[];
  end: () => number; // of what is known, seconds: where an event that is still on stops
  step: () => number; // seconds: between two of them nothing is known
  onCursor: (seconds: number | null) => void;
  onSelect: (from: number, to: number) => void;
  onGeometry: (g: Geometry) => void;
  axis: (v: number) => string;
}

export function makePlot(root: HTMLElement, width: number, height: number, data: PlotData, range: [number, number],
                         hooks: PlotHooks): uPlot {
  const ink = cssColour('--ink-2'), grid = cssColour('--grid'), surface = cssColour('--surface');
  const mark = cssColour('--event'), font = '12px system-ui, sans-serif';
  const path = uPlot.paths.stepped!({ align: 1 });
  const axis = { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  return new uPlot({
    width, height, padding: [8, 30, 0, 0],
    legend: { show: false },
    tzDate: (s) => (zone.get() === 'UTC' ? uPlot.tzDate(new Date(s * 1e3), 'Etc/UTC') : new Date(s * 1e3)),
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { show: false },
      y: false,
    },
    scales: {
      x: { time: true, range: () => range },
      y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.06 : 1] },
    },
    axes: [
      { ...axis, incrs: () => STEPS.filter((s) => s >= hooks.step()), size: 28, space: 76, values: (_u, splits, _a, _s, incr) =>
          splits.map((s) => axisText(s, incr)) },
      { ...axis, size: 78, space: 46, values: (_u, splits) => splits.map((v) => v === 0 ? '0' : hooks.axis(v).replace(/\.0+(?=\D)|(?<=\.\d)0(?=\D)/, '')) },
    ],
    series: [
      {},
      ...Array.from({ length: SLOTS }, (_, slot): uPlot.Series => ({
        fill: () => hooks.layers()[SLOTS - 1 - slot]?.colour ?? 'transparent',
        // A line between the layers, unless the steps are so narrow that there would be only lines.
        stroke: (u) => (u.bbox.width / Math.max(1, u.data[0].length) > 3 * (devicePixelRatio || 1)
          ? surface : hooks.layers()[SLOTS - 1 - slot]?.colour ?? 'transparent'),
        width: 0.5, paths: path, points: { show: false },
      })),
    ],
    hooks: {
      drawAxes: [(u) => drawEvents(u, hooks, mark, true)],
      draw: [(u) => {
        drawEvents(u, hooks, mark, false);
        const dpr = devicePixelRatio || 1;
        hooks.onGeometry({ left: u.bbox.left / dpr, width: u.bbox.width / dpr, min: u.scales.x!.min!, max: u.scales.x!.max! });
      }],
      setCursor: [(u) => hooks.onCursor(u.cursor.left! >= 0 ? u.posToVal(u.cursor.left!, 'x') : null)],
      setSelect: [(u) => {
        if (u.select.width < 4) return;
        hooks.onSelect(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'));
        u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      }],
    },
  }, stacked(data), root);
}

// Bands behind the areas, their edges before them.
function drawEvents(u: uPlot, hooks: PlotHooks, colour: string, band: boolean) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const e of hooks.events()) {
    const a = u.valToPos(toSeconds(e.began), 'x', true);
    const b = u.valToPos(e.ended ? toSeconds(e.ended) : hooks.end(), 'x', true);
    if (b < bbox.left || a > bbox.left + bbox.width) continue;
    if (band) {
      ctx.globalAlpha = 0.13;
      ctx.fillStyle = colour;
      ctx.fillRect(a, bbox.top, Math.max(2, b - a), bbox.height);
    } else {
      ctx.globalAlpha = 0.9;
      ctx.strokeStyle = colour;
      ctx.lineWidth = devicePixelRatio || 1;
      ctx.setLineDash([4 * ctx.lineWidth, 3 * ctx.lineWidth]);
      ctx.beginPath();
      for (const x of [a, b]) {
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
      }
      ctx.stroke();
    }
  }
  ctx.restore();
}
