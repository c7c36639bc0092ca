// SPDX-License-Identifier: LGPL-3.0-or-later
// A stand-in for `kotare watch` while working on the page: the API of docs/api.md over made-up,
// always equal traffic. node dev/stub.mjs [--port N] [--live] [--empty] [--dist DIR]
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeWorld, STEP } from './world.mjs';
import { compile } from './filter.mjs';

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at > 0 ? process.argv[at + 1] : fallback;
};
const flag = (name) => process.argv.includes(`--${name}`);
const dist = option('dist', join(dirname(fileURLToPath(import.meta.url)), '../dist'));
const live = flag('live');
const world = makeWorld(flag('empty') ? 0 : 600);
const started = Date.now();

// How many seconds of the world have happened.
const seconds = () =>
  live ? Math.min(world.seconds, 300 + Math.floor((Date.now() - started) / 1000)) : world.seconds;
const edge = () => world.start + BigInt(seconds()) * STEP;

function bounds(q) {
  const from = q.get('from') ? BigInt(q.get('from')) : world.start;
  let to = q.get('to') ? BigInt(q.get('to')) : edge();
  if (to > edge()) to = edge();
  return { from, to: to > from ? to : from };
}

function status() {
  const n = seconds();
  let bytes = 0, packets = 0, flows = 0;
  for (const s of world.series.total.values()) {
    for (let i = 0; i < n; i++) {
      const v = s[i];
      if (v) [bytes, packets, flows] = [bytes + v[0], packets + v[1], flows + v[2]];
    }
  }
  return {
    version: '0.1.0-stub', input: live ? 'interface:lab0' : 'samples/lab.pcap.zst', live,
    done: !live, bytes_done: bytes, bytes_total: live ? 0 : bytes, packets, bytes, flows,
    lost: live ? 12 : 0, not_ip: 214, malformed: 3, first: n ? String(world.start) : '0',
    last: n ? String(edge() - 1n) : '0', interval: Number(STEP), workers: 2, earlier_runs: 0, warning: '',
  };
}

function series(q) {
  const kind = q.get('kind') ?? 'total';
  const streams = world.series[kind];
  if (!streams) throw new Bad(`there is no kind of series named "${kind}"`);
  const metric = ['bytes', 'packets', 'flows'].indexOf(q.get('metric') ?? 'bytes');
  if (metric < 0) throw new Bad(`there is no metric named "${q.get('metric')}"`);
  const { from, to } = bounds(q);
  const points = Math.min(5000, Number(q.get('points') ?? 600));
  const per = Math.max(1, Math.ceil(Number((to - from) / STEP) / points));
  const first = Number((from - world.start) / STEP);
  const bins = Math.ceil(Number((to - from) / STEP) / per);
  const at0 = world.start + BigInt(first) * STEP;
  const out = [];
  for (const [name, list] of streams) {
    if (q.get('name') && q.get('name') !== name) continue;
    const values = [];
    let total = 0;
    for (let b = 0; b < bins; b++) {
      let sum = null, count = 0;
      for (let i = first + b * per; i < first + (b + 1) * per; i++) {
        const v = i >= 0 && i < seconds() ? list[i] : null;
        if (v) {
          sum = (sum ?? 0) + v[kind === 'health' ? 0 : metric];
          count++;
        }
      }
      if (kind === 'health' && sum !== null) sum = Math.round((sum / count) * 10) / 10;
      values.push(sum);
      total += sum ?? 0;
    }
    out.push({ name, total, values });
  }
  out.sort((a, b) => b.total - a.total);
  const top = Number(q.get('top') ?? 12);
  if (kind !== 'health' && out.length > top) {
    const rest = out.splice(top);
    const other = { name: 'Other', total: 0, values: rest[0].values.map(() => null) };
    for (const s of rest) {
      other.total += s.total;
      s.values.forEach((v, i) => { if (v !== null) other.values[i] = (other.values[i] ?? 0) + v; });
    }
    out.push(other);
  }
  const step = STEP * BigInt(per);
  return {
    from: String(at0), step: Number(step), unit: kind === 'health' ? '' : q.get('metric') ?? 'bytes',
    kind, times: Array.from({ length: bins }, (_, i) => String(at0 + BigInt(i) * step)), series: out,
  };
}

function applications(q) {
  const { from, to } = bounds(q);
  const a = Number((from - world.start) / STEP), b = Number((to - world.start) / STEP);
  const sum = (kind) => [...world.series[kind]].map(([name, list]) => {
    const s = { name, bytes: 0, packets: 0, flows: 0 };
    for (let i = Math.max(0, a); i < b; i++) {
      const v = list[i];
      if (v) { s.bytes += v[0]; s.packets += v[1]; s.flows += v[2]; }
    }
    return s;
  }).filter((s) => s.bytes > 0).sort((x, y) => y.bytes - x.bytes);
  const total = sum('total')[0] ?? { bytes: 0, packets: 0, flows: 0 };
  const share = (s) => ({ ...s, share: total.bytes ? s.bytes / total.bytes : 0 });
  return {
    from: String(from), to: String(to), bytes: total.bytes, packets: total.packets,
    flows: total.flows,
    applications: sum('app').map((s) => share({ ...s, category: world.categoryOf(s.name) })),
    categories: sum('category').map(share),
  };
}

function flows(q) {
  const { from, to } = bounds(q);
  const filter = q.get('filter') ? compile(q.get('filter')) : () => true;
  const sort = q.get('sort') ?? 'start';
  const of = (f) => (sort === 'start' || sort === 'end' ? BigInt(f[sort]) : f[sort]);
  if (world.flows[0] && !(sort in world.flows[0])) throw new Bad(`flows can't be sorted by "${sort}"`);
  const sign = q.get('order') === 'desc' ? -1 : 1;
  const found = world.flows
    .filter((f) => BigInt(f.start) < to && BigInt(f.end) >= from && filter(f))
    .map((f) => [of(f), f])
    .sort(([a, x], [b, y]) => (a < b ? -sign : a > b ? sign : Number(x.id) - Number(y.id)));
  const offset = Number(q.get('offset') ?? 0);
  const limit = Math.min(1000, Number(q.get('limit') ?? 100));
  return { total: found.length, offset, flows: found.slice(offset, offset + limit).map(([, f]) => f) };
}

function events(q) {
  const { from, to } = bounds(q);
  return { events: world.events.filter((e) => BigInt(e.began) < to &&
    (e.ended === null || BigInt(e.ended) > from)) };
}

function stream(req, res) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  const say = (event, data) => res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  let known = -1, last = '';
  const tick = () => {
    const s = status();
    if (JSON.stringify(s) !== last) say('status', s);
    last = JSON.stringify(s);
    const e = events(new URLSearchParams());
    if (e.events.length !== known) say('events', e);
    known = e.events.length;
  };
  tick();
  const timer = setInterval(tick, 1000);
  req.on('close', () => clearInterval(timer));
}

class Bad extends Error {}
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
                '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const fields = () => ({ fields: Object.keys(world.flows[0] ?? {}).map((name) => ({ name, type: 'text', means: name, sorts: true })) });
const rules = () => ({ rules: [] });

const API = { status, series, applications, flows, fields, rules, events };

const server = createServer(async (req, res) => {
  const url = new URL(req.url, 'http://x');
  const reply = (code, data) => {
    res.writeHead(code, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    res.end(JSON.stringify(data));
  };
  try {
    if (url.pathname === '/api/v1/stream') return stream(req, res);
    if (url.pathname.startsWith('/api/v1/')) {
      const call = API[url.pathname.slice(8)];
      return call ? reply(200, call(url.searchParams)) : reply(404, { error: 'no such path', code: 'notfound' });
    }
    const path = url.pathname === '/' ? '/index.html' : url.pathname;
    const data = await readFile(join(dist, path));
    res.writeHead(200, { 'Content-Type': TYPES[extname(path)] ?? 'text/plain',
                         'Content-Security-Policy': CSP });
    res.end(data);
  } catch (e) {
    if (e.code === 'ENOENT') return reply(404, { error: 'no such file', code: 'notfound' });
    reply(e instanceof Bad || e.filter ? 400 : 500, { error: e.message, code: 'invalid' });
  }
});
server.listen(Number(option('port', 8471)), '127.0.0.1', () =>
  console.log(`page: http://127.0.0.1:${server.address().port}/`));
