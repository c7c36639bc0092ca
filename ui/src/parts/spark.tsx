// SPDX-License-Identifier: LGPL-3.0-or-later
// Small charts as SVG: the sparkline of a table row, and a health chart with its own readout.
import { useStore } from '../store';
import type { Event } from '../api';
import { clock, date, moment, toNs, toSeconds } from '../units';
import { pointed } from './cursor';

// A stepped line; null lifts the pen.
export function steps(values: (number | null)[], width: number, height: number, top: number): string {
  const w = width / Math.max(1, values.length);
  let d = '', drawing = false;
  values.forEach((v, i) => {
    if (v === null) {
      drawing = false;
      return;
    }
    const y = (height - (top > 0 ? Math.max(0, v) / top : 0) * height).toFixed(2);
    d += drawing ? `V${y}H${((i + 1) * w).toFixed(2)}` : `M${(i * w).toFixed(2)} ${y}H${((i + 1) * w).toFixed(2)}`;
    drawing = true;
  });
  return d;
}

// The same as closed areas down to the ground.
export function areas(values: (number | null)[], width: number, height: number, top: number): string {
  const w = width / Math.max(1, values.length);
  let d = '', from = -1;
  const close = (i: number) => {
    if (from >= 0) d += `H${(i * w).toFixed(2)}V${height}Z`;
    from = -1;
  };
  values.forEach((v, i) => {
    if (v === null) return close(i);
    const y = (height - (top > 0 ? Math.max(0, v) / top : 0) * height).toFixed(2);
    d += from < 0 ? `M${(i * w).toFixed(2)} ${height}V${y}` : `H${(i * w).toFixed(2)}V${y}`;
    if (from < 0) from = i;
  });
  close(values.length);
  return d;
}

const highest = (values: (number | null)[]) => values.reduce<number>((m, v) => Math.max(m, v ?? 0), 0);

export function Spark({ values, colour }: { values: (number | null)[]; colour: string }) {
  const top = highest(values);
  return (
    <svg class="spark" viewBox="0 0 120 24" preserveAspectRatio="none" aria-hidden="true">
      <path d={areas(values, 120, 24, top)} fill={colour} opacity="0.25" />
      <path d={steps(values, 120, 24, top)} fill="none" stroke={colour} vector-effect="non-scaling-stroke" />
    </svg>
  );
}

interface HealthProps {
  title: string; hint: string; times: number[]; step: number; range: [number, number];
  values: (number | null)[]; events: Event[]; format: (v: number) => string;
}

const W = 300, H = 64;

export function Health({ title, hint, times, step, range, values, events, format }: HealthProps) {
  const t = useStore(pointed);
  const top = highest(values);
  const i = t === null ? -1 : times.findIndex((x) => x <= t && t < x + step);
  const at = i >= 0 ? values[i] ?? null : null;
  const x = (s: number) => ((s - range[0]) / (range[1] - range[0])) * W;
  const first = times[0] ?? range[0], last = (times[times.length - 1] ?? range[1]) + step;
  const point = (e: PointerEvent) => {
    const r = (e.currentTarget as Element).getBoundingClientRect();
    const s = range[0] + ((e.clientX - r.left) / r.width) * (range[1] - range[0]);
    const k = Math.floor((s - first) / step);
    pointed.set(times[k] ?? null);
  };
  const known = values.filter((v): v is number => v !== null);
  const middle = [...known].sort((a, b) => a - b)[Math.floor(known.length / 2)];
  return (
    <figure class="health">
      <figcaption>
        <span class="name" title={hint}>{title}</span>
        <span class="num">{i >= 0 ? (at === null ? '–' : format(at)) : middle === undefined ? '–' : <>
          <small>median</small> {format(middle)}</>}</span>
      </figcaption>
      <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img"
           aria-label={`${title}: ${known.length ? `median ${format(middle!)}, at most ${format(top)}` : 'no samples'}`}
           onPointerMove={point} onPointerLeave={() => pointed.set(null)}>
        {events.map((e) => {
          const a = Math.max(0, x(toSeconds(e.began)));
          const b = Math.min(W, x(e.ended ? toSeconds(e.ended) : last));
          return b > a && <rect key={e.id} x={a} y={0} width={b - a} height={H} class="band" />;
        })}
        <g transform={`translate(${x(first)} 0) scale(${(x(last) - x(first)) / W} 1)`}>
          <path d={areas(values, W, H - 2, top)} class="area" transform="translate(0 2)" />
          <path d={steps(values, W, H - 2, top)} class="line" transform="translate(0 2)" vector-effect="non-scaling-stroke" />
        </g>
        {t !== null && i >= 0 && <line x1={x(t + step / 2)} x2={x(t + step / 2)} y1={0} y2={H} class="here" vector-effect="non-scaling-stroke" />}
      </svg>
      <div class="foot"><span>{known.length ? `max ${format(top)}` : 'no samples'}</span>
        <span>{i >= 0 ? (date(toNs(range[0])) === date(toNs(range[1])) ? clock : moment)(toNs(times[i]!)) : hint}</span></div>
    </figure>
  );
}
