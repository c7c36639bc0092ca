// SPDX-License-Identifier: LGPL-3.0-or-later
// The address of the page holds everything that is shown: #/VIEW?from=…&to=…&filter=…
// No window: all there is, growing. last=SECONDS: the newest part, following. from and to: held.
import { store } from './store';
import { status } from './live';

export const VIEWS = ['overview', 'applications', 'flows', 'events'] as const;
export type View = (typeof VIEWS)[number];
export type Params = Record<string, string>;
export interface Route { view: View; params: Params }

const WINDOW_KEYS = ['from', 'to', 'last'];

function parse(): Route {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const view = (VIEWS as readonly string[]).includes(path) ? (path as View) : 'overview';
  const params = Object.fromEntries(new URLSearchParams(query));
  for (const key of ['from', 'to']) if (params[key] && !/^\d{1,19}$/.test(params[key])) delete params[key];
  if (params.last && !/^\d{1,9}$/.test(params.last)) delete params.last;
  return { view, params };
}

export const route = store<Route>(parse());
addEventListener('hashchange', () => route.set(parse()));
addEventListener('popstate', () => route.set(parse()));

export function href(view: View, params: Params = {}): string {
  const q = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== ''));
  const text = q.toString().replaceAll('+', '%20');
  return `#/${view}${text ? `?${text}` : ''}`;
}

// The same window in another view.
export function hrefKeeping(view: View, params: Params = {}): string {
  const now = route.get().params;
  const kept = Object.fromEntries(WINDOW_KEYS.filter((k) => now[k]).map((k) => [k, now[k] as string]));
  return href(view, { ...kept, ...params });
}

export function go(view: View, params: Params, replace = false) {
  const to = href(view, params);
  if (to === location.hash) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  route.set(parse());
}

// Changes some parameters of this view; '' removes one.
export function change(params: Params, replace = false) {
  const r = route.get();
  go(r.view, { ...r.params, ...params }, replace);
}

// ---- the window of time -------------------------------------------------------------------

export interface Window { from: bigint; to: bigint }
export interface Shown {
  held: boolean;
  last: number; // seconds that are followed, 0: everything
  window: Window | null; // null: nothing is known yet
  all: Window | null;
}

export function shown(r: Route): Shown {
  const s = status.get();
  const all = s && s.last !== '0' ? { from: BigInt(s.first), to: BigInt(s.last) + 1n } : null;
  const { from, to } = r.params;
  if (from && to && BigInt(from) < BigInt(to)) {
    const start = BigInt(from), unit = BigInt(s?.interval || 1_000_000_000);
    const end = BigInt(to) - start < unit ? start + unit : BigInt(to);
    return { held: true, last: 0, window: { from: start, to: end }, all };
  }
  const last = Number(r.params.last ?? 0);
  if (!last || !all) return { held: false, last, window: all, all };
  const start = all.to - BigInt(last) * 1_000_000_000n;
  return { held: false, last, window: { from: start > all.from ? start : all.from, to: all.to }, all };
}

// What to send to the API: nothing while everything is shown.
export function bounds(s: Shown): { from?: bigint; to?: bigint } {
  return s.window && (s.held || s.last) ? s.window : {};
}

// Changes when what is shown may have: live, a held window in the past only when the run is over. A
// file may fill any window of a store that earlier runs left.
export function tick(s: Shown): string {
  const st = status.get();
  if (!st) return '';
  if (st.live && s.held && s.window && s.window.to <= BigInt(st.last)) return `held ${st.done}`;
  return `${st.last} ${st.packets} ${st.done}`;
}

const MIN_INTERVALS = 2n;

// Holds a window, rounded to whole intervals and kept within what there is.
export function hold(from: bigint, to: bigint, replace = false) {
  const s = status.get();
  const r = route.get();
  const all = shown(r).all;
  const unit = BigInt(s?.interval || 1_000_000_000);
  if (to - from < unit * MIN_INTERVALS) {
    const middle = (from + to) / 2n;
    from = middle - (unit * MIN_INTERVALS) / 2n;
    to = from + unit * MIN_INTERVALS;
  }
  from = ((from + unit / 2n) / unit) * unit;
  to = ((to + unit / 2n) / unit) * unit;
  if (all) {
    const length = to - from;
    const low = (all.from / unit) * unit, high = ((all.to + unit - 1n) / unit) * unit;
    if (length >= high - low) return release(replace);
    if (from < low) [from, to] = [low, low + length];
    if (to > high) [from, to] = [high - length, high];
  }
  change({ from: String(from), to: String(to), last: '', page: '' }, replace);
}

export function release(replace = false) {
  change({ from: '', to: '', last: '', page: '' }, replace);
}
