// SPDX-License-Identifier: LGPL-3.0-or-later
// The large chart of the overview: stacked areas with readout, zoom and pan by mouse, touch and keys,
// and a lane of event markers above it.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Event } from '../api';
import { href } from '../route';
import { look, zone } from '../settings';
import { useStore } from '../store';
import { clock, date, duration, moment, toNs, toSeconds, unbroken } from '../units';
import { EventLane } from './lane';
import { pointed } from './cursor';
import { makePlot, PLOT_HEIGHT, stacked, type Geometry, type PlotData } from './plot';

interface Props {
  data: PlotData;
  range: [number, number]; // seconds
  events: Event[];
  value: (v: number) => string; // a height with its unit
  label: string;
  onWindow: (from: number, to: number, settle?: boolean) => void;
  onReset: () => void;
}

export function Chart(props: Props) {
  const { data, range, events } = props;
  const box = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const now = useRef(props);
  now.current = props;
  const held = useRef(range); // what uPlot's range function reads; follows `range`, or a pan under way
  const [over, setOver] = useState<number | null>(null);
  const [pin, setPin] = useState<number | null>(null); // where the readout stays, seconds
  const [enter, setEnter] = useState(false); // by keys: the focus goes along
  const indexOf = (s: number) => {
    const i = Math.floor((s - (data.times[0] ?? 0)) / data.step + 1e-6);
    return i >= 0 && i < data.times.length ? i : null;
  };
  const pinned = pin === null ? null : indexOf(pin);
  const at = pinned ?? over;
  const [geometry, setGeometry] = useState<Geometry | null>(null);
  const looks = useStore(look), zones = useStore(zone);

  useLayoutEffect(() => {
    const root = box.current!;
    held.current = [...now.current.range];
    const height = () => (root.clientWidth < 560 ? 240 : PLOT_HEIGHT);
    const u = makePlot(root, root.clientWidth, height(), now.current.data, held.current, {
      layers: () => now.current.data.layers,
      events: () => now.current.events,
      end: () => lastTime(now.current.data),
      step: () => now.current.data.step,
      onCursor: (s) => {
        const { times, step } = now.current.data;
        const i = s === null ? -1 : Math.floor((s - (times[0] ?? 0)) / step);
        const index = i >= 0 && i < times.length ? i : null;
        setOver(index);
        pointed.set(index === null ? null : times[index] ?? null);
      },
      onSelect: (a, b) => {
        setPin(null);
        now.current.onWindow(a, b);
      },
      onGeometry: (g) => setGeometry((old) => (old && same(old, g) ? old : g)),
      axis: (v) => now.current.value(v),
    });
    plot.current = u;
    const off = gestures(u, held.current, now, (s) => {
      const { times, step } = now.current.data;
      const to = times.find((t) => t <= s && s < t + step) ?? null;
      setPin((old) => (old === to ? null : to));
      setEnter(false);
    });
    const resize = new ResizeObserver(() => {
      if (root.clientWidth && root.clientWidth !== u.width) u.setSize({ width: root.clientWidth, height: height() });
    });
    resize.observe(root);
    return () => {
      off();
      resize.disconnect();
      u.destroy();
      plot.current = null;
      pointed.set(null);
    };
  }, [looks, zones]);

  useEffect(() => {
    [held.current[0], held.current[1]] = range;
    plot.current?.setData(stacked(data));
  }, [data, range[0], range[1], events]);

  const move = (index: number) => {
    const u = plot.current;
    if (!u || !data.times.length) return;
    const i = Math.max(0, Math.min(data.times.length - 1, index));
    u.setCursor({ left: u.valToPos(data.times[i]! + data.step / 2, 'x'), top: 10 });
  };

  const onKey = (e: KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target !== e.currentTarget) return;
    const [a, b] = range;
    const length = b - a;
    const here = at === null ? (a + b) / 2 : data.times[at] ?? (a + b) / 2;
    const zoom = (f: number) => props.onWindow(here - (here - a) * f, here + (b - here) * f, true);
    const pan = (f: number) => props.onWindow(a + length * f, b + length * f, true);
    const keys: Record<string, () => void> = {
      ArrowLeft: () => (e.shiftKey ? pan(-0.25) : move((at ?? data.times.length) - 1)),
      ArrowRight: () => (e.shiftKey ? pan(0.25) : move((at ?? -1) + 1)),
      Enter: () => {
        setPin(at === null ? null : data.times[at] ?? null);
        setEnter(true);
      },
      Home: () => move(0),
      End: () => move(data.times.length - 1),
      PageUp: () => pan(-1),
      PageDown: () => pan(1),
      '+': () => zoom(0.5),
      '=': () => zoom(0.5),
      '-': () => zoom(2),
      '0': () => props.onReset(),
      Escape: () => pin === null && props.onReset(),
    };
    const act = keys[e.key];
    if (!act) return;
    e.preventDefault();
    act();
    if (e.key !== 'Enter') setPin(null);
  };

  return (
    <div class="chart">
      <EventLane events={events} geometry={geometry} end={lastTime(data)} />
      <div class="plot" tabIndex={0} role="application" aria-roledescription="chart" aria-label={props.label}
           aria-describedby="chart-keys" onKeyDown={onKey} onDblClick={props.onReset} ref={frame}>
        <div class="canvas">
          <div ref={box} />
          {pinned !== null && geometry && <span class="pin" aria-hidden="true" style={{ left: `${across(data, pinned, geometry)}px` }} />}
        </div>
        {at !== null && geometry && data.times[at] !== undefined &&
          <Readout key={pinned} {...props} at={at} geometry={geometry} enter={enter} onClose={pinned === null ? undefined : () => {
            setPin(null);
            frame.current?.focus();
          }} />}
      </div>
    </div>
  );
}

const lastTime = (d: PlotData) => (d.times.length ? d.times[d.times.length - 1]! + d.step : 0);
const same = (a: Geometry, b: Geometry) => a.left === b.left && a.width === b.width && a.min === b.min && a.max === b.max;
// The middle of a step, in pixels.
const across = (d: PlotData, i: number, g: Geometry) => g.left + ((d.times[i]! + d.step / 2 - g.min) / (g.max - g.min)) * g.width;

// What was there at a moment. It follows the pointer; when it stays (then it can be closed), it leads to the flows.
function Readout({ data, events, value, at, geometry, enter, onClose }: Props & {
  at: number; geometry: Geometry; enter: boolean; onClose: (() => void) | undefined;
}) {
  const link = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    if (onClose && enter) link.current?.focus();
  }, []);
  const t = data.times[at]!;
  const x = across(data, at, geometry);
  const rows = data.layers.filter((l) => (l.values[at] ?? 0) > 0).reverse();
  const total = rows.reduce((sum, l) => sum + l.values[at]!, 0);
  const gap = data.layers.every((l) => l.values[at] == null);
  const on = events.filter((e) => toSeconds(e.began) < t + data.step && (!e.ended || toSeconds(e.ended) > t));
  const flows = (filter: string) =>
    href('flows', { from: String(toNs(t)), to: String(toNs(t + data.step)), filter, sort: 'bytes', order: 'desc' });
  const when = (date(toNs(geometry.min)) === date(toNs(geometry.max)) ? clock : moment)(toNs(t), data.step < 1 ? 3 : 0);
  // Beside the pointer, or, where there is no room for that, at the other edge.
  const right = x > geometry.left + geometry.width / 2, edge = geometry.width < 660 && !onClose;
  const place = edge ? (right ? { left: '4px' } : { right: '4px' }) : { left: `${x}px` };
  return (
    <div class={`readout ${edge ? 'edge' : right ? 'to-left' : ''} ${onClose ? 'stays' : ''}`} style={place}
         role={onClose ? 'group' : 'status'} aria-label={onClose && `The traffic at ${when}`} onDblClick={(e) => e.stopPropagation()}
         onKeyDown={(e) => e.key === 'Escape' && onClose?.()}>
      <div class="when">{when} <span>+{duration(data.step)}</span>
        {onClose && <button type="button" class="quiet" aria-label="Close" onClick={onClose}>✕</button>}</div>
      {gap ? <p>Nothing was recorded then.</p> : (
        <table>
          <tbody>
            {rows.map((l) => (
              <tr key={l.name}>
                <td><span class="swatch" style={{ background: l.colour }} aria-hidden="true" />
                  {onClose && l.filter ? <a href={flows(l.filter)}>{l.name}</a> : l.name || 'Total'}</td>
                <td class="num">{value(l.values[at]!)}</td>
              </tr>
            ))}
            {rows.length !== 1 && <tr class="sum"><td>Total</td><td class="num">{value(total)}</td></tr>}
          </tbody>
        </table>
      )}
      {on.map((e) => <p class="on" key={e.id}>▲ {unbroken(e.title)}</p>)}
      {gap ? null : onClose
        ? <a class="button primary" ref={link} href={flows(data.layers.length === 1 ? data.layers[0]!.filter : '')}>Flows of {data.step === 1 ? 'this second' : `these ${duration(data.step)}`}</a>
        : <p class="muted">Click for the flows</p>}
    </div>
  );
}

// Pan by Shift+drag, middle button, one finger or a horizontal wheel; zoom by Ctrl+wheel.
// A click that is neither is for `onClick`.
function gestures(u: uPlot, held: [number, number], now: { current: Props }, onClick: (seconds: number) => void): () => void {
  const over = u.over;
  let drag: { x: number; a: number; b: number } | null = null;
  let timer = 0;
  const show = (a: number, b: number) => {
    held[0] = a;
    held[1] = b;
    u.setScale('x', { min: a, max: b });
  };
  const settle = () => now.current.onWindow(held[0], held[1], true);
  let pressed = 0;
  const click = (e: MouseEvent) => {
    if (Math.abs(e.clientX - pressed) < 4 && !e.shiftKey) onClick(u.posToVal(e.clientX - over.getBoundingClientRect().left, 'x'));
  };
  const down = (e: PointerEvent) => {
    pressed = e.clientX;
    const pans = e.pointerType === 'touch' || e.shiftKey || e.button === 1;
    if (!pans) return;
    drag = { x: e.clientX, a: held[0], b: held[1] };
    over.setPointerCapture(e.pointerId);
    if (e.pointerType !== 'touch') e.preventDefault();
  };
  // uPlot selects on mouse events: not while this is a pan.
  const mouse = (e: MouseEvent) => {
    if (drag) e.stopImmediatePropagation();
  };
  const moved = (e: PointerEvent) => {
    if (!drag || Math.abs(e.clientX - drag.x) < 3) return;
    const by = ((drag.x - e.clientX) / over.clientWidth) * (drag.b - drag.a);
    show(drag.a + by, drag.b + by);
  };
  const up = (e: PointerEvent) => {
    if (!drag) return;
    const tapped = Math.abs(e.clientX - drag.x) < 6;
    drag = null;
    if (!tapped) settle();
    else u.setCursor({ left: e.clientX - over.getBoundingClientRect().left, top: 10 });
  };
  const wheel = (e: WheelEvent) => {
    const [a, b] = held;
    if (e.ctrlKey) {
      const here = u.posToVal(e.clientX - over.getBoundingClientRect().left, 'x');
      const f = Math.exp(e.deltaY * 0.004);
      show(here - (here - a) * f, here + (b - here) * f);
    } else if (Math.abs(e.deltaX) > Math.abs(e.deltaY) || (e.shiftKey && e.deltaY)) {
      const by = ((e.deltaX || e.deltaY) / over.clientWidth) * (b - a);
      show(a + by, b + by);
    } else {
      return;
    }
    e.preventDefault();
    clearTimeout(timer);
    timer = window.setTimeout(settle, 180);
  };
  over.addEventListener('click', click);
  over.addEventListener('pointerdown', down, true);
  over.addEventListener('mousedown', mouse, true);
  over.addEventListener('pointermove', moved);
  over.addEventListener('pointerup', up);
  over.addEventListener('pointercancel', up);
  over.addEventListener('wheel', wheel, { passive: false });
  return () => clearTimeout(timer);
}
