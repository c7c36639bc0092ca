// SPDX-License-Identifier: LGPL-3.0-or-later
// What part of time is shown, whether it follows or is held, and the ways to change it.
import { hold, change, release, route, shown } from '../route';
import { link, status } from '../live';
import { zone } from '../settings';
import { useStore } from '../store';
import { duration, span } from '../units';

const SPANS: [string, string][] = [['', 'Everything'], ['60', 'Last minute'], ['300', 'Last 5 minutes'],
  ['900', 'Last 15 minutes'], ['3600', 'Last hour'], ['86400', 'Last day']];

export function WindowBar() {
  const r = useStore(route), s = useStore(status), l = useStore(link);
  useStore(zone);
  const now = shown(r);
  if (!now.window || !s) return null;
  const { from, to } = now.window;
  const length = to - from;
  const fine = length < 10_000_000_000n;
  const zoom = (num: bigint, den: bigint) => {
    const middle = from + length / 2n, half = (length * num) / den / 2n;
    hold(middle - half, middle + half);
  };
  const pan = (by: bigint) => hold(from + (length / 4n) * by, to + (length / 4n) * by);
  const whole = !now.held && !now.last;
  const following = s.live && l === 'open';
  return (
    <div class="windowbar" role="group" aria-label="Window of time">
      <span class={`state ${now.held ? 'held' : following ? 'live' : ''}`}>
        {now.held && !s.done ? 'Held' : following ? 'Live' : !s.done ? 'Reading' : now.all && length < now.all.to - now.all.from ? 'Part' : 'All'}
      </span>
      <span class="span">{span(from, to, fine ? 3 : 0)} <span class="muted">{zone.get()} · {duration(Number(length) / 1e9)}</span></span>
      <span class="tools">
        <button type="button" onClick={() => pan(-1n)} disabled={whole} aria-label="Earlier" title="Earlier (Shift+←)">←</button>
        <button type="button" onClick={() => pan(1n)} disabled={whole} aria-label="Later" title="Later (Shift+→)">→</button>
        <button type="button" onClick={() => zoom(1n, 2n)} aria-label="Zoom in" title="Zoom in (+)">+</button>
        <button type="button" onClick={() => zoom(2n, 1n)} disabled={whole} aria-label="Zoom out" title="Zoom out (−)">−</button>
        {now.held ? <button type="button" class="reset" onClick={() => release()} title="0 or Escape in the chart">
          {s.live && !s.done ? 'Follow again' : 'Show everything'}</button>
          : <select aria-label={s.live ? 'Follow' : 'Part shown'} value={String(now.last || '')}
                    onChange={(e) => change({ last: e.currentTarget.value, from: '', to: '', page: '' })}>
            {SPANS.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
          </select>}
      </span>
    </div>
  );
}
