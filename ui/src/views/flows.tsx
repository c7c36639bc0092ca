// SPDX-License-Identifier: LGPL-3.0-or-later
import { useEffect, useRef, useState } from 'preact/hooks';
import { address, ApiError, useApi, type Fields, type Flow, type Flows } from '../api';
import { bounds, change, route, shown, tick } from '../route';
import { status } from '../live';
import { zone } from '../settings';
import { useStore } from '../store';
import { bytes, clock, count, date, duration, moment, si } from '../units';
import { Empty, Failure, Loading, Swatch } from '../parts/common';
import { Drawer } from '../parts/drawer';
import { SortHead } from '../parts/sort';

const PAGE = 100;
const EXAMPLES = ['app == "DNS"', 'bytes > 1M', 'client in 10.0.0.0/8', 'server_port in {80, 443}', 'rtt_us > 50000',
  'syn and not answered', 'name contains "lab"', 'not category == "web"'];
export function endpoint(host: string, port: number): string {
  if (!host) return 'no address';
  if (!port) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

// What stands in the ports' place is the identifier of an echo.
export const isIcmp = (f: Flow) => f.proto === 'icmp' || f.proto === 'icmpv6';

// A port behind an address of IPv6 would look like a part of it.
function End({ host, port }: { host: string; port: number }) {
  if (!host) return <>–</>;
  const six = port > 0 && host.includes(':');
  return <>{six && <span class="port">[</span>}{host}{six && <span class="port">]</span>}{port > 0 && <span class="port">:{port}</span>}</>;
}

export function FlowsView() {
  const r = useStore(route);
  useStore(status);
  useStore(zone);
  const s = shown(r);
  const filter = r.params.filter ?? '';
  const sort = r.params.sort ?? 'start', up = (r.params.order ?? 'asc') === 'asc';
  const page = Math.max(0, Number(r.params.page ?? 1) - 1) || 0;
  const url = address('flows', { filter, sort, order: up ? 'asc' : 'desc', offset: page * PAGE, limit: PAGE, ...bounds(s) });
  const reply = useApi<Flows>(url, tick(s));
  const wrong = reply.error?.status === 400 ? reply.error : undefined;
  const flows = reply.data?.flows ?? [];
  const open = flows.find((f) => f.id === r.params.flow);
  const total = reply.data?.total ?? 0;
  const moments = [...(s.window ? [s.window.from, s.window.to] : []), ...flows.map((f) => f.start)];
  const days = moments.some((t) => date(t) !== date(moments[0]!));
  return (
    <section class="card" aria-label="Flows">
      <FilterBox filter={filter} error={wrong} />
      {reply.error && !wrong && <Failure error={reply.error} what="The flows" />}
      {!reply.data && !reply.error && <Loading label="Loading the flows" />}
      {reply.data && !wrong && (total === 0
        ? <Empty title="No flow matches">{filter ? 'No flow of this window matches the filter.' : 'In this window nothing was seen.'}</Empty>
        : <Table flows={flows} days={days} sort={sort} up={up} stale={reply.loading && reply.url !== url} openId={open?.id} />)}
      {reply.data && !wrong && total > 0 && <Pager page={page} total={total} shown={flows.length} />}
      {open && <Drawer flow={open} onClose={() => change({ flow: '' }, true)} />}
    </section>
  );
}

function FilterBox({ filter, error }: { filter: string; error: ApiError | undefined }) {
  const [text, setText] = useState(filter);
  const [all, setAll] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => setText(filter), [filter]);
  useEffect(() => {
    const slash = (e: KeyboardEvent) => {
      const inField = /^(INPUT|TEXTAREA|SELECT)$/.test((e.target as Element).tagName);
      if (e.key !== '/' || inField || e.ctrlKey || e.metaKey) return;
      e.preventDefault();
      input.current?.focus();
    };
    document.addEventListener('keydown', slash);
    return () => document.removeEventListener('keydown', slash);
  }, []);
  const apply = (value: string) => change({ filter: value.trim(), page: '', flow: '' });
  return (
    <form class="filter" role="search" onSubmit={(e) => { e.preventDefault(); apply(text); }}>
      <label for="filter">Filter</label>
      <div class="line">
        <input id="filter" ref={input} type="text" value={text} spellcheck={false} autocomplete="off" autocapitalize="off"
               placeholder='app == "DNS" and bytes > 1000' aria-invalid={error ? true : undefined}
               aria-describedby={error ? 'filter-error' : 'filter-help'} onInput={(e) => setText(e.currentTarget.value)} />
        <button type="submit" class="primary">Apply</button>
        {(filter || text) && <button type="button" onClick={() => { setText(''); apply(''); }}>Clear</button>}
      </div>
      {error && <p id="filter-error" class="error" role="alert">{error.message}</p>}
      <p id="filter-help" class="examples"><span class="muted">Try</span>{' '}
        {EXAMPLES.map((x) => <button type="button" class="chip" key={x} onClick={() => apply(x)}>{x}</button>)}</p>
      <details class="fields" onToggle={(e) => setAll(e.currentTarget.open)}>
        <summary>All fields</summary>
        {all && <FieldList />}
        <p class="muted">Compare with == != &lt; &lt;= &gt; &gt;= in contains starts ends, join with and, or, not and brackets: {' '}<code>server_port in {'{80, 443, 8000..8999}'} and not client in 10.0.0.0/8</code></p>
      </details>
    </form>
  );
}

function FieldList() {
  const { data, error } = useApi<Fields>(address('fields'));
  if (error) return <Failure error={error} what="The fields" />;
  return (
    <dl>{data?.fields.map((f) => (
      <div key={f.name}><dt><code>{f.name}</code> <span>{f.type}</span></dt><dd>{f.means}</dd></div>))}</dl>
  );
}

// Less than this is a guess.
const GUESS = 50;

const HEADS: [string, string, string, 'asc' | 'desc'][] = [
  ['start', 'Start', '', 'asc'], ['client', 'Client', '', 'asc'], ['server', 'Server', '', 'asc'], ['app', 'Application', '', 'asc'],
  ['bytes', 'Bytes', 'num', 'desc'], ['duration', 'Duration', 'num p2', 'desc'], ['rtt_us', 'Round trip', 'num p3', 'desc'],
  ['retransmits', 'Retransmitted', 'num p4', 'desc'],
];

function Table({ flows, days, sort, up, stale, openId }: {
  flows: Flow[]; days: boolean; sort: string; up: boolean; stale: boolean; openId: string | undefined;
}) {
  const most = Math.max(1, ...flows.map((f) => f.bytes));
  const start = (f: Flow) => (days ? moment : clock)(f.start, 3);
  // Tab reaches one row, arrow keys walk through them.
  const [here, setHere] = useState('');
  const stop = flows.some((f) => f.id === here) ? here : flows[0]?.id;
  const walk = (e: KeyboardEvent) => {
    const buttons = [...(e.currentTarget as Element).querySelectorAll<HTMLElement>('.open')];
    const i = buttons.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: buttons.length - 1 }[e.key];
    if (i < 0 || to === undefined) return;
    e.preventDefault();
    buttons[to]?.focus();
  };
  return (
    <div class="scroll">
      <label class="narrow-sort">Sort by{' '}
        <select value={`${sort} ${up ? 'asc' : 'desc'}`} onChange={(e) => {
          const [field = '', order = ''] = e.currentTarget.value.split(' ');
          change({ sort: field, order, page: '' });
        }}>
          {HEADS.flatMap(([key, text]) => ['asc', 'desc'].map((o) => (
            <option key={key + o} value={`${key} ${o}`}>{text} {o === 'asc' ? '↑' : '↓'}</option>)))}
        </select>
      </label>
      <table class={`rows flows ${stale ? 'stale' : ''}`}>
        <thead><tr>{HEADS.map(([key, text, cls, first]) => (
          <SortHead key={key} field={key} cls={cls} sort={sort} up={up} first={first}>{text}</SortHead>))}</tr></thead>
        <tbody onKeyDown={walk}>
          {flows.map((f) => (
            <tr key={f.id} class={f.id === openId ? 'chosen' : ''} onClick={() => change({ flow: f.id }, true)}>
              <td class="mono"><button type="button" class="open" aria-haspopup="dialog" tabIndex={f.id === stop ? 0 : -1}
                  onFocus={() => setHere(f.id)}
                  aria-label={`${start(f)}, ${f.app}, ${f.client} to ${f.server}: details`}>{start(f)}</button></td>
              <td class="mono"><End host={f.client} port={isIcmp(f) ? 0 : f.client_port} /></td>
              <td class="mono"><End host={f.server} port={isIcmp(f) ? 0 : f.server_port} />{f.server && <span class="port">/{f.proto}</span>}
                {isIcmp(f) && f.server_port > 0 && <span class="port"> id {f.server_port}</span>}{f.name && <span class="host">{f.name}</span>}</td>
              <td><Swatch name={f.app} />{f.app}{f.accept > 0 && f.confidence < GUESS && <abbr class="guess" title={`A guess: ${f.confidence} % sure`}>?</abbr>}</td>
              <td class="num"><span class="weight" aria-hidden="true"><span style={{ width: `${(f.bytes / most) * 100}%` }} /></span><span class="amount">{bytes(f.bytes)}</span></td>
              <td class="num p2">{f.duration ? duration(f.duration / 1e9) : '–'}</td>
              <td class="num p3">{f.rtt_us ? duration(f.rtt_us / 1e6) : '–'}</td>
              <td class="num p4">{f.retransmits ? si(f.retransmits) : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Pager({ page, total, shown: n }: { page: number; total: number; shown: number }) {
  const pages = Math.ceil(total / PAGE);
  const to = (p: number) => change({ page: p ? String(p + 1) : '', flow: '' });
  return (
    <nav class="pager" aria-label="Pages">
      <span role="status">{n ? `${count(page * PAGE + 1)} – ${count(page * PAGE + n)}` : 'None'} of {count(total)} flows</span>
      <span class="tools">
        <button type="button" disabled={page === 0} onClick={() => to(0)} aria-label="First page">⇤</button>
        <button type="button" disabled={page === 0} onClick={() => to(page - 1)}>← Previous</button>
        <span class="muted">{count(page + 1)} / {count(pages)}</span>
        <button type="button" disabled={page + 1 >= pages} onClick={() => to(page + 1)}>Next →</button>
        <button type="button" disabled={page + 1 >= pages} onClick={() => to(pages - 1)} aria-label="Last page">⇥</button>
      </span>
    </nav>
  );
}
