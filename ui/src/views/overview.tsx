// SPDX-License-Identifier: LGPL-3.0-or-later
import { useMemo, useRef } from 'preact/hooks';
import { address, useApi, type Applications, type Event, type Series, type Status } from '../api';
import { colourOf } from '../colours';
import { status } from '../live';
import { filterOf } from '../filter';
import { bounds, change, hold, hrefKeeping, release, route, shown, tick, type Shown } from '../route';
import { useStore } from '../store';
import { bits, bytes, count, duration, inputText, percent, si, toNs, toSeconds } from '../units';
import { Chart } from '../parts/chart';
import { Bar, Card, Empty, Failure, isApplication, Loading, Swatch } from '../parts/common';
import { Minimap } from '../parts/minimap';
import type { PlotData } from '../parts/plot';
import { Health } from '../parts/spark';

const KINDS = [['app', 'Application'], ['category', 'Category'], ['direction', 'Direction'], ['port', 'Port']] as const;
const METRICS = [['bytes', 'Bits'], ['packets', 'Packets'], ['flows', 'New flows']] as const;
type Metric = (typeof METRICS)[number][0];
// As many as can be told apart.
const POINTS = innerWidth < 640 ? 160 : 480;

export function Overview({ events }: { events: Event[] }) {
  const r = useStore(route), st = useStore(status);
  const s = shown(r);
  const t = tick(s);
  const kind = KINDS.find(([k]) => k === r.params.stack)?.[0] ?? 'app';
  const metric = METRICS.find(([k]) => k === r.params.metric)?.[0] ?? 'bytes';
  const traffic = useApi<Series>(address('series', { kind, metric, points: POINTS, top: 12, ...bounds(s) }), t, !s.held);
  const apps = useApi<Applications>(address('applications', { ...bounds(s) }), t, !s.held);
  const health = useApi<Series>(address('series', { kind: 'health', points: 150, ...bounds(s) }), t, !s.held);

  if (traffic.error && !traffic.data) return <Failure error={traffic.error} what="The traffic" />;
  if (!traffic.data || !st) return <Loading label="Loading the traffic" />;
  if (!s.window) return <NoTraffic st={st} />;
  return (
    <>
      {traffic.error && <Failure error={traffic.error} what="New traffic" />}
      <Figures apps={apps.data} st={st} s={s} />
      <Traffic series={traffic.data} stale={traffic.loading} s={s} kind={kind} metric={metric} events={events} only={r.params.only ?? ''} />
      <div class="columns">
        <Top apps={apps.data} />
        <HealthCard series={health.data} s={s} events={events} />
      </div>
    </>
  );
}

function NoTraffic({ st }: { st: Status }) {
  return st.done
    ? <Empty title="There was no traffic">Not one packet was found in {inputText(st.input)}.</Empty>
    : <Empty title="Waiting for traffic">Nothing has arrived from {inputText(st.input)} yet. This page fills by itself.</Empty>;
}

function Figures({ apps, st, s }: { apps: Applications | undefined; st: Status; s: Shown }) {
  const seconds = s.window ? Number(s.window.to - s.window.from) / 1e9 : 0;
  const a = apps ?? { bytes: 0, packets: 0, flows: 0, applications: [] };
  const unknown = a.applications.filter((x) => /^unknown/i.test(x.name)).reduce((n, x) => n + x.bytes, 0);
  const per = (n: number) => (seconds > 0 ? n / seconds : 0);
  const damage = [st.malformed && `${count(st.malformed)} malformed`, st.not_ip && `${count(st.not_ip)} not IP`].filter(Boolean).join(', ');
  const figures: [string, string, string][] = [
    ['Traffic', bytes(a.bytes), `${bits(per(a.bytes))} on average`],
    ['Packets', si(a.packets), `${si(per(a.packets))}/s, ${a.packets ? bytes(a.bytes / a.packets) : '0 B'} each`],
    ['Flows', si(a.flows), `${si(per(a.flows))}/s began`],
    ['Applications', String(a.applications.filter((x) => isApplication(x.name)).length), 'were recognised'],
    ['Unknown', a.bytes ? percent(unknown / a.bytes) : '–', 'of the bytes'],
    // Nobody knows when what is lost was: this is of the whole run.
    ['Lost', st.lost ? si(st.lost) : 'None',
      (st.lost ? `${percent(st.lost / (st.lost + st.packets))} of all packets` : damage || 'every packet was read') + (st.earlier_runs ? ', in this run' : s.held || s.last ? ', in all' : '')],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value, note]) => (
        <div key={name}><dt>{name}</dt><dd class={apps ? '' : 'waiting'}>{apps ? value : '…'}</dd><dd class="note">{note}</dd></div>
      ))}
    </dl>
  );
}

let moved = 0; // when keys or the wheel last changed the window: one step back undoes a whole walk

function Traffic({ series, stale, s, kind, metric, events, only }: {
  series: Series; stale: boolean; s: Shown; kind: string; metric: Metric; events: Event[]; only: string;
}) {
  const step = series.step / 1e9;
  const scale = metric === 'bytes' ? 8 : 1; // bits, so that the axis has round numbers of them
  const isolated = series.series.some((x) => x.name === only) ? only : '';
  // A layer keeps its place while the window changes; only what is new goes on top.
  const ranks = useRef(new Map<string, number>());
  const rank = (name: string) => {
    if (name === 'Other') return Infinity;
    const key = `${kind} ${name}`, known = ranks.current;
    if (!known.has(key)) known.set(key, known.size);
    return known.get(key)!;
  };
  const data = useMemo<PlotData>(() => ({
    times: series.times.map(toSeconds),
    step,
    layers: series.series.filter((x) => x.total > 0 && (!isolated || x.name === isolated))
      .map((x) => ({ x, place: rank(x.name) })).sort((a, b) => a.place - b.place).map(({ x }) => ({
      name: label(kind, x.name), colour: colourOf(x.name), filter: x.name === 'Other' ? '' : filterOf(kind, x.name), values: x.values.map((v) => (v === null ? null : (v * scale) / step)),
    })),
  }), [series, step, isolated, kind, scale]);
  const unit = { bytes: 'bit/s', packets: 'pkt/s', flows: 'flows/s' }[metric];
  const value = (v: number) => si(v, unit);
  const total = series.series.reduce((n, x) => n + x.total, 0);
  const range: [number, number] = [toSeconds(s.window!.from), toSeconds(s.window!.to)];
  const onWindow = (a: number, b: number, walking?: boolean) => {
    const now = Date.now();
    hold(toNs(a), toNs(b), Boolean(walking) && now - moved < 1500);
    if (walking) moved = now;
  };
  return (
    <Card id="traffic" title="Traffic" actions={
      <div class="choices">
        <Choice label="Stacked by" name="stack" value={kind} options={KINDS} />
        <Choice label="Measured in" name="metric" value={metric} options={METRICS} />
      </div>}>
      <div class={stale ? 'stale' : ''}>
        {data.layers.length === 0 && <p class="pad muted" role="status">Nothing was recorded in this window.</p>}
        <Chart data={data} range={range} events={events} value={value} onWindow={onWindow} onReset={() => release()}
               label={`Traffic by ${kind}, ${series.series.length} layers, ${duration(range[1] - range[0])}. Use the arrow keys to read values.`} />
      </div>
      <Minimap metric={metric} />
      <ul class="legend" aria-label="Layers: choose one to see it alone">
        {series.series.filter((x) => x.total > 0).map((x) => (
          <li key={x.name}>
            <button type="button" aria-pressed={isolated === x.name} class={isolated && isolated !== x.name ? 'off' : ''}
                    onClick={() => change({ only: isolated === x.name ? '' : x.name }, true)}>
              <Swatch name={x.name} />{label(kind, x.name)} <span class="num muted">{percent(total ? x.total / total : 0)}</span>
            </button>
          </li>
        ))}
      </ul>
      <p class="keys" id="chart-keys">
        Click for the flows of a moment, drag to zoom, Shift+drag or the strip below to pan, double-click to reset. Keys: <kbd>←</kbd> <kbd>→</kbd> read,{' '}
        <kbd>Enter</kbd> stay there, <kbd>+</kbd> <kbd>−</kbd> zoom, <kbd>Shift</kbd>+<kbd>←</kbd> <kbd>→</kbd> pan, <kbd>0</kbd> reset.
      </p>
    </Card>
  );
}

const label = (kind: string, name: string) => (kind === 'direction' ? { up: 'From clients', down: 'From servers' }[name] ?? name : name);

function Choice({ label, name, value, options }: {
  label: string; name: string; value: string; options: readonly (readonly [string, string])[];
}) {
  return (
    <fieldset class="segments">
      <legend>{label}</legend>
      {options.map(([key, text], i) => (
        <label key={key}>
          <input type="radio" name={name} checked={key === value} onChange={() => change({ [name]: i ? key : '', only: '' })} />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Top({ apps }: { apps: Applications | undefined }) {
  if (!apps) return <Card id="top" title="Top applications"><Loading label="Loading the applications" /></Card>;
  const list = apps.applications.slice(0, 8);
  const most = list[0]?.share || 1;
  return (
    <Card id="top" title="Top applications" actions={<a href={hrefKeeping('applications')}>All applications</a>}>
      {list.length === 0 ? <p class="muted pad">Nothing moved in this window.</p> : (
        <ol class="top-list">
          {list.map((a) => (
            <li key={a.name}>
              <a href={hrefKeeping('flows', { filter: filterOf('app', a.name) })} aria-label={`${a.name}, ${percent(a.share)}, ${bytes(a.bytes)}: show its flows`}>
                <span class="name">{a.name}</span><span class="num">{bytes(a.bytes)}</span><span class="num muted">{percent(a.share)}</span>
                <Bar share={a.share / most} name={a.name} />
              </a>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

// What counts things is shown by the second, however long an interval is.
const HEALTH: [string, string, string, (v: number) => string, boolean][] = [
  ['rtt', 'Round trip', 'median handshake', (v) => duration(v / 1e6), false],
  ['retransmits', 'Retransmitted', 'TCP segments', (v) => si(v, '/s'), true],
  ['refused', 'Refused', 'connections', (v) => si(v, '/s'), true],
  ['unanswered', 'Unanswered', 'new flows', (v) => si(v, '/s'), true],
  ['fanout', 'Fan-out', 'most targets of one host', (v) => si(v), false],
];

function HealthCard({ series, s, events }: { series: Series | undefined; s: Shown; events: Event[] }) {
  const range: [number, number] = [toSeconds(s.window!.from), toSeconds(s.window!.to)];
  const interval = (useStore(status)?.interval || 1e9) / 1e9;
  const valuesOf = (name: string, counts: boolean) => {
    const values = series?.series.find((x) => x.name === name)?.values ?? [];
    return counts ? values.map((v) => (v === null ? null : v / interval)) : values;
  };
  return (
    <Card id="health" title="Health">
      {!series ? <Loading label="Loading health" /> : (
        <div class="healths">
          {HEALTH.map(([name, title, hint, format, counts]) => (
            <Health key={name} title={title} hint={hint} format={format} range={range} step={series.step / 1e9} events={events}
                    times={series.times.map(toSeconds)} values={valuesOf(name, counts)} />
          ))}
        </div>
      )}
    </Card>
  );
}
