// SPDX-License-Identifier: LGPL-3.0-or-later
// The whole recording in small: drag the window to pan, its edges to resize, elsewhere for a new one.
// (The keys of the large chart do the same, so this is for pointers only.)
import { useRef, useState } from 'preact/hooks';
import { address, useApi, type Series } from '../api';
import { hold, shown, tick, type Window } from '../route';
import { route } from '../route';
import { useStore } from '../store';
import { areas } from './spark';

type Grip = 'move' | 'from' | 'to' | 'new';

export function Minimap({ metric }: { metric: string }) {
  const r = useStore(route);
  const s = shown(r);
  const total = useApi<Series>(address('series', { kind: 'total', metric, points: 400 }), tick({ ...s, held: false }));
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<{ grip: Grip; x: number; start: Window; now: Window } | null>(null);
  if (!s.all || !s.window) return null;
  const all = s.all, length = Number(all.to - all.from);
  const now = drag?.now ?? s.window;
  const part = (t: bigint) => Math.max(0, Math.min(1, Number(t - all.from) / length));
  const values = total.data?.series[0]?.values ?? [];
  // What is stored may begin before the first packet: live, silence is stored too.
  const begins = total.data ? Number(BigInt(total.data.from) - all.from) / length : 0;
  const lasts = total.data ? (total.data.step * values.length) / length : 1;
  const top = values.reduce<number>((m, v) => Math.max(m, v ?? 0), 0);

  const at = (x: number): bigint => {
    const b = box.current!.getBoundingClientRect();
    return all.from + BigInt(Math.round(Math.max(0, Math.min(1, (x - b.left) / b.width)) * length));
  };
  const down = (e: PointerEvent) => {
    const b = box.current!.getBoundingClientRect();
    const x = e.clientX - b.left;
    const a = part(s.window!.from) * b.width, z = part(s.window!.to) * b.width;
    const whole = !s.held && !s.last;
    const grip: Grip = whole ? 'new' : Math.abs(x - a) < 8 ? 'from' : Math.abs(x - z) < 8 ? 'to' : x > a && x < z ? 'move' : 'new';
    box.current!.setPointerCapture(e.pointerId);
    const start = grip === 'new' ? { from: at(e.clientX), to: at(e.clientX) } : s.window!;
    setDrag({ grip, x: e.clientX, start, now: start });
    e.preventDefault();
  };
  const move = (e: PointerEvent) => {
    if (!drag) return;
    const here = at(e.clientX);
    const { grip, start } = drag;
    let next: Window;
    if (grip === 'move') {
      const by = here - at(drag.x);
      next = { from: start.from + by, to: start.to + by };
    } else {
      const fixed = grip === 'from' ? start.to : start.from;
      next = here < fixed ? { from: here, to: fixed } : { from: fixed, to: here };
    }
    setDrag({ ...drag, now: next });
  };
  const up = () => {
    if (drag && drag.now.to > drag.now.from && drag.now !== drag.start) hold(drag.now.from, drag.now.to);
    setDrag(null);
  };
  const a = part(now.from) * 100, z = part(now.to) * 100;
  return (
    <div class="minimap" ref={box} aria-hidden="true" onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={() => setDrag(null)}>
      <svg viewBox="0 0 1000 40" preserveAspectRatio="none"><path d={areas(values, 1000, 40, top)} transform={`translate(${begins * 1000} 0) scale(${lasts} 1)`} /></svg>
      <span class="shade" style={{ left: 0, width: `${a}%` }} />
      <span class="shade" style={{ left: `${z}%`, width: `${100 - z}%` }} />
      <span class={`frame ${s.held || drag ? 'held' : ''}`} style={{ left: `${a}%`, width: `${z - a}%` }} />
    </div>
  );
}
