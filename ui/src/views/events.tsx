// SPDX-License-Identifier: LGPL-3.0-or-later
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Cause, Event, Events, Reply } from '../api';
import { filterOf } from '../filter';
import { href, release, route, shown, type Params } from '../route';
import { status } from '../live';
import { zone } from '../settings';
import { useStore } from '../store';
import { duration, moment, percent, si, span, THIN, toSeconds, unbroken } from '../units';
import { Bar, Empty, Failure, Loading } from '../parts/common';
import { signOf } from '../parts/lane';

export function EventsView({ reply }: { reply: Reply<Events> }) {
  const r = useStore(route), st = useStore(status);
  useStore(zone);
  if (reply.error && !reply.data) return <Failure error={reply.error} what="The events" />;
  if (!reply.data) return <Loading label="Loading the events" />;
  const s = shown(r);
  const now = st && st.last !== '0' ? BigInt(st.last) : 0n;
  const all = reply.data.events;
  const chosen = r.params.event;
  const list = all.filter((e) => e.id === chosen || !s.window || (BigInt(e.began) < s.window.to && endOf(e, now) > s.window.from))
    .sort((a, b) => (BigInt(a.began) < BigInt(b.began) ? 1 : -1));
  if (!all.length) {
    return st?.done ? <Empty title="Nothing unusual">In this traffic nothing changed enough to be told of.</Empty>
      : <Empty title="Nothing unusual so far">When the traffic changes, what changed and why appears here.</Empty>;
  }
  if (!list.length) {
    return <Empty title="Nothing unusual in this window">{all.length === 1 ? 'There is one event' : `There are ${all.length} events`} at {all.length === 1 ? 'another time' : 'other times'}.{' '}
      <button type="button" onClick={() => release()}>Show everything</button></Empty>;
  }
  return <ol class="events">{list.map((e) => <EventCard key={e.id} event={e} now={now} chosen={e.id === chosen} />)}</ol>;
}

const endOf = (e: Event, now: bigint) => (e.ended ? BigInt(e.ended) : now + 1n);

function EventCard({ event: e, now, chosen }: { event: Event; now: bigint; chosen: boolean }) {
  const box = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (chosen) box.current?.scrollIntoView({ block: 'center' });
  }, [chosen]);
  const from = BigInt(e.began), to = endOf(e, now);
  const pad = ((to - from) * 3n) / 2n + 5_000_000_000n;
  const length = Number(to - from) / 1e9;
  const level = e.severity >= 0.75 ? 'high' : e.severity >= 0.4 ? 'middle' : 'low';
  return (
    <li class={`card event ${level} ${chosen ? 'chosen' : ''}`} ref={box} id={`event-${e.id}`}>
      <header>
        <span class="sign" aria-hidden="true">{signOf(e.kind)}</span>
        <h2>{unbroken(e.title)}</h2>
        <span class="kind">{e.kind}</span>
      </header>
      <dl class="when">
        <div><dt>When</dt><dd>{e.ended ? span(e.began, e.ended) : `${moment(e.began)} – still on`} <span class="muted">{duration(length)}</span></dd></div>
        <div><dt>Noticed</dt><dd>after {duration(toSeconds(e.noticed) - toSeconds(e.began))}</dd></div>
        <div><dt>How sure</dt><dd><span class="sure"><Bar share={e.confidence} />{percent(e.confidence)}</span></dd></div>
        <div><dt>Severity</dt><dd>{level} <span class="muted">{percent(e.severity)}</span></dd></div>
      </dl>
      {e.causes.length > 0 && <Causes causes={e.causes} from={from} to={to} />}
      <p class="links">
        <a class="button primary" href={href('flows', { from: String(from), to: String(to), filter: e.filter })}>Flows of that moment</a>
        <a class="button" href={href('overview', { from: String(from - pad), to: String(to + pad) })}>Show on the overview</a>
        {e.streams.length > 0 && <span class="muted">Seen in</span>}
        {e.streams.map((x) => <Seen key={x.kind + x.name} {...x} window={{ from: String(from - pad), to: String(to + pad) }} />)}
      </p>
    </li>
  );
}

// A stream that the event shows in: alone on the overview, where it can be stacked.
function Seen({ kind, name, window }: { kind: string; name: string; window: Params }) {
  const stack = { app: '', category: 'category', direction: 'direction', port: 'port', total: '' }[kind];
  const text = name ? `${kind}: ${kind === 'direction' ? { up: 'from clients', down: 'from servers' }[name] ?? name : name}` : kind;
  if (stack === undefined) return <span class="tag">{text}</span>;
  return <a class="tag" href={href('overview', { ...window, stack, only: name })}>{text}</a>;
}

function amount(v: number, unit = ''): string {
  if (unit === 'ms') return duration(v / 1e3);
  // "/s" of something countable keeps its word apart: 1.2 k failures/s
  return unit === 'bit/s' || unit === '' ? si(v, unit) : `${si(v)}${THIN}${unit}`;
}

const KINDS: Record<string, string> = { app: 'Application', client: 'Client', server: 'Server', port: 'Port', flow: 'Flow' };

const FIRST = 5;

function Causes({ causes, from, to }: { causes: Cause[]; from: bigint; to: bigint }) {
  const [all, setAll] = useState(false);
  const list = all ? causes : causes.slice(0, FIRST);
  return (
    <div class="scroll">
      <table class="rows causes">
        <caption>Why: what accounts for the change</caption>
        <thead><tr><th scope="col">What</th><th scope="col" class="num">Before</th><th scope="col" class="num">After</th><th scope="col">Part of the change</th></tr></thead>
        <tbody>
          {list.map((c) => {
            const filter = filterOf(c.kind, c.name);
            return (
              <tr key={c.kind + c.name}>
                <th scope="row"><span class="muted">{KINDS[c.kind] ?? c.kind}</span>{' '}
                  {filter ? <a href={href('flows', { from: String(from), to: String(to), filter })}>{c.name}</a> : c.name}
                  {c.more ? <span class="muted"> and {c.more} more</span> : null}</th>
                <td class="num">{amount(c.before, c.unit)}</td>
                <td class="num">{amount(c.after, c.unit)}</td>
                <td><span class="share"><Bar share={c.share} /><span class="num">{percent(c.share)}</span></span></td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {causes.length > FIRST && <button type="button" class="quiet more" aria-expanded={all} onClick={() => setAll(!all)}>
        {all ? 'Show fewer' : `Show all ${causes.length} causes`}</button>}
    </div>
  );
}
