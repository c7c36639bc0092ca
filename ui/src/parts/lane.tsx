// SPDX-License-Identifier: LGPL-3.0-or-later
// Markers of the events above a chart: links, so that they can be reached by keyboard.
import type { Event } from '../api';
import { hrefKeeping } from '../route';
import { clock, toSeconds } from '../units';
import type { Geometry } from './plot';

const SIGNS: Record<string, string> = {
  surge: '↑', drop: '↓', outage: '✕', scan: '⌕', latency: '◷', loss: '≋', new: '✦',
};
export const signOf = (kind: string) => SIGNS[kind] ?? '!';

export function EventLane({ events, geometry, end }: { events: Event[]; geometry: Geometry | null; end: number }) {
  if (!geometry) return <div class="lane" />;
  const { left, width, min, max } = geometry;
  const at = (s: number) => ((s - min) / (max - min)) * width;
  const shown = events.filter((e) => toSeconds(e.began) < max && (e.ended ? toSeconds(e.ended) : end) > min);
  return (
    <ul class="lane" aria-label={`${shown.length} events in this window`}>
      {shown.map((e) => {
        const a = Math.max(0, at(toSeconds(e.began)));
        const b = Math.min(width, at(e.ended ? toSeconds(e.ended) : end));
        return (
          <li key={e.id} style={{ left: `${left + a}px`, width: `${Math.max(22, b - a)}px` }}>
            <a href={hrefKeeping('events', { event: e.id })} class="marker" title={e.title}
               aria-label={`Event at ${clock(e.began)}: ${e.title}`}>
              <span aria-hidden="true">{signOf(e.kind)}</span><span class="text" aria-hidden="true">{e.kind}</span>
            </a>
          </li>
        );
      })}
    </ul>
  );
}
