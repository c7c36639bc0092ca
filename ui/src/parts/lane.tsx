// SPDX-License-Identifier: LGPL-3.0-or-later
// Markers of the events above a chart: links, so that they can be reached by keyboard.
import type { Event } from '../api';
import { hrefKeeping } from '../route';
import { clock, plural, toSeconds } from '../units';
import type { Geometry } from './plot';

const SIGNS: Record<string, string> = {
  surge: '↑', drop: '↓', outage: '✕', scan: '◎', latency: '◷', loss: '≋', new: '✦',
};
const MIN_WIDTH = 24, ROW_HEIGHT = 24, ROWS = 4;
const labelWidth = (kind: string) => 34 + 7.5 * kind.length;
export const signOf = (kind: string) => SIGNS[kind] ?? '!';

export function EventLane({ events, geometry, end }: { events: Event[]; geometry: Geometry | null; end: number }) {
  if (!geometry) return <div class="lane" />;
  const { left, width, min, max } = geometry;
  const at = (s: number) => ((s - min) / (max - min)) * width;
  const shown = events.filter((e) => toSeconds(e.began) < max && (e.ended ? toSeconds(e.ended) : end) > min);
  // What would overlap goes into a row of its own, as long as there are rows.
  const ends: number[] = [];
  const placed = shown.map((e) => {
    const a = Math.max(0, at(toSeconds(e.began)));
    const lasts = Math.max(2, Math.min(width, at(e.ended ? toSeconds(e.ended) : end)) - a);
    const w = Math.max(MIN_WIDTH, lasts);
    const free = ends.findIndex((x) => x <= a + 0.5);
    const row = free >= 0 ? free : Math.min(ends.length, ROWS - 1);
    ends[row] = Math.max(ends[row] ?? 0, a + w);
    const left = Math.min(a, width - MIN_WIDTH);
    return { e, a: left, w, row, began: Math.min(a - left, MIN_WIDTH - 2), lasts };
  });
  // Where nothing follows too soon, a short event has room for its word.
  const room = (p: (typeof placed)[number]) =>
    placed.reduce((n, o) => (o !== p && o.row === p.row && o.a >= p.a ? Math.min(n, o.a - 4) : n), width) - p.a;
  return (
    <ul class="lane" style={{ height: `${Math.max(1, ends.length) * ROW_HEIGHT + 2}px` }} aria-label={`${plural(shown.length, 'event')} in this window`}>
      {placed.map((p) => ({ ...p, label: labelWidth(p.e.kind), space: room(p) })).map(({ e, a, w, row, began, lasts, label, space }) => (
        <li key={e.id} style={{ left: `${left + a}px`, width: `${Math.max(w, space >= label ? label : 0)}px`, top: `${row * ROW_HEIGHT + 1}px` }}>
          <a href={hrefKeeping('events', { event: e.id })} class={`marker ${Math.max(w, space) < label ? 'tight' : ''}`} title={e.title}
             aria-label={`Event at ${clock(e.began)}: ${e.title}`}>
            <span class="lasts" aria-hidden="true" style={{ left: `${began}px`, width: `${lasts}px` }} />
            <span aria-hidden="true">{signOf(e.kind)}</span><span class="text" aria-hidden="true">{e.kind}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}
