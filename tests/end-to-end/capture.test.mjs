// SPDX-License-Identifier: LGPL-3.0-or-later
// Live capture: a client here and a real server in a second network namespace, joined by a veth pair. The
// program listens on our end. The other namespace ends with its last process, and with it the pair.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { api, eventually, openBrowser, programPath, started, stop, visit } from './harness.mjs';

const skip = process.env.KOTARE_STUB || process.env.KOTARE_URL ? 'needs the program itself' : false;

const SERVER = '10.77.0.2', PORT = 8080;
const CLIENTS = ['10.77.0.11', '10.77.0.12', '10.77.0.13'];
const MAC = { near: '02:00:00:00:77:01', far: '02:00:00:00:77:02' };
const WARM_UP = 12; // seconds with answers: an outage is told of servers that answered in 8 intervals

const ip = (...args) => execFileSync('ip', args, { stdio: 'inherit' });
const sleep = (seconds) => new Promise((r) => setTimeout(r, seconds * 1000));

// A child that does not outlive the test.
function run(t, command, args, options) {
  const child = spawn(command, args, options);
  t.after(() => child.kill('SIGKILL'));
  return child;
}

// Interfaces without IPv6 and with all neighbours known, so that silence is silence.
async function makeNetwork(t) {
  const far = run(t, 'unshare', ['--net', 'sh', '-c', 'echo there; exec sleep 600'], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve, reject) => {
    far.stdout.once('data', resolve);
    far.once('exit', (code) => reject(new Error(`no namespace: unshare ended with ${code}`)));
  });
  const inside = ['nsenter', '--net', '--target', String(far.pid)];
  const there = (...args) => execFileSync(inside[0], [...inside.slice(1), ...args], { stdio: 'inherit' });
  ip('link', 'add', 'near', 'address', MAC.near, 'type', 'veth', 'peer', 'name', 'far', 'address', MAC.far, 'netns', String(far.pid));
  ip('link', 'set', 'near', 'addrgenmode', 'none');
  there('ip', 'link', 'set', 'far', 'addrgenmode', 'none');
  for (const client of CLIENTS) ip('addr', 'add', `${client}/24`, 'dev', 'near');
  there('ip', 'addr', 'add', `${SERVER}/24`, 'dev', 'far');
  ip('link', 'set', 'near', 'up');
  there('ip', 'link', 'set', 'far', 'up');
  ip('neigh', 'replace', SERVER, 'lladdr', MAC.far, 'nud', 'permanent', 'dev', 'near');
  for (const client of CLIENTS) there('ip', 'neigh', 'replace', client, 'lladdr', MAC.near, 'nud', 'permanent', 'dev', 'far');
  return inside;
}

function request(client, path = '/') {
  return new Promise((resolve) => {
    const r = http.get({ host: SERVER, port: PORT, path, localAddress: client, agent: false, timeout: 3000 }, (reply) => {
      reply.resume();
      reply.on('end', () => resolve(reply.statusCode));
      reply.on('error', () => resolve(0));
    });
    r.on('timeout', () => r.destroy());
    r.on('error', () => resolve(0));
  });
}

// Each client asks five times a second, answered or not, until it is told to stop.
function traffic() {
  let on = true;
  const ask = async (client) => {
    while (on) await Promise.all([request(client, '/page.txt'), sleep(0.2)]);
  };
  const all = Promise.all(CLIENTS.map(ask));
  return async () => {
    on = false;
    await all;
  };
}

// What a program wrote, and how it ended.
function capture(t, ...args) {
  const child = run(t, programPath(), ['watch', 'ring:near', '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', (data) => (out += data));
  const over = new Promise((resolve) => child.once('close', (code) => resolve({
    code, lines: out.split('\n').filter(Boolean).map((line) => JSON.parse(line)),
  })));
  return { child, over };
}

const packetSockets = () => readFileSync('/proc/self/net/packet', 'utf8').trim().split('\n').length - 1;

test('live: traffic shows up, an outage is told, silence makes zeros, a held window stays, two workers see the same', { skip }, async (t) => {
  const inside = await makeNetwork(t);
  const folder = mkdtempSync(join(tmpdir(), 'kotare-'));
  t.after(() => rmSync(folder, { recursive: true }));
  t.after(stop);
  writeFileSync(join(folder, 'page.txt'), 'the kingfisher sits still\n'.repeat(200));
  const server = run(t, inside[0], [...inside.slice(1), 'python3', '-m', 'http.server', String(PORT), '--bind', SERVER, '--directory', folder],
    { stdio: 'ignore' });
  await eventually(async () => (await request(CLIENTS[0])) === 200, 'the server answers');

  // One worker with a page, and two with a ring each that listen to the same packets.
  const one = capture(t, '--listen', '127.0.0.1:0');
  const url = await started(one.child);
  const two = capture(t, '--workers', '2', '--once');
  await eventually(() => packetSockets() === 3, 'all rings are open');

  await openBrowser();
  const { page, check } = await visit(url);
  await page.getByText('Waiting for traffic').waitFor();
  const stopTraffic = traffic();
  const began = Date.now();
  await page.locator('.legend li', { hasText: 'HTTP' }).waitFor();
  assert.match(await page.locator('.windowbar .state').innerText(), /live/i);

  // A window is held while it all goes on.
  const span = (p) => p.locator('.windowbar .span').innerText();
  await eventually(async () => (await api(url, 'series')).body.times.length >= 6, 'six seconds of it');
  const holds = await visit(url);
  await holds.page.locator('.legend li').first().waitFor();
  await holds.page.getByRole('button', { name: 'Zoom in' }).click();
  await eventually(() => holds.page.url().includes('from='), 'the window is held');
  const [held, address, moving] = [await span(holds.page), holds.page.url(), await span(page)];
  await eventually(async () => (await span(page)) !== moving, 'the other page follows');

  // The server dies while its clients go on asking.
  await sleep(Math.max(0, WARM_UP - (Date.now() - began) / 1000));
  const died = BigInt(Date.now()) * 1000000n;
  server.kill('SIGKILL');
  const marker = page.locator('.marker', { has: page.getByText('outage') });
  await marker.waitFor({ timeout: 40000 });
  const outage = (await api(url, 'events')).body.events.find((e) => e.kind === 'outage');
  assert.match(outage.title, new RegExp(`${SERVER} port ${PORT} stopped answering`));
  const late = Number(BigInt(outage.began) - died) / 1e9;
  assert.ok(late > -2 && late < 3, `it began ${late} s after the server died`);
  assert.ok(outage.causes.some((c) => c.name === SERVER || c.name.includes(SERVER)), JSON.stringify(outage.causes));

  // All is silent: time goes on, with zeros.
  await stopTraffic();
  const silent = BigInt((await api(url, 'status')).body.last);
  const packets = (await api(url, 'status')).body.packets;
  const quiet = await eventually(async () => {
    const { times, series, step } = (await api(url, 'series?kind=total&points=5000')).body;
    const after = series[0].values.filter((_, i) => BigInt(times[i]) >= silent + BigInt(step));
    return after.length >= 5 && after;
  }, 'five seconds of silence');
  assert.deepEqual(quiet, quiet.map(() => 0));
  assert.equal((await api(url, 'status')).body.packets, packets);
  const end = (text) => text.split(' ').at(-1);
  const now = end(await span(page));
  await eventually(async () => end(await span(page)) > now, 'the page goes on too');
  await page.locator('.plot').focus();
  await page.keyboard.press('End');
  assert.match(await page.locator('.readout').innerText(), /Total\s+0\sbit\/s/);

  assert.equal(await span(holds.page), held);
  assert.equal(holds.page.url(), address);
  await holds.page.reload();
  await holds.page.locator('.legend li').first().waitFor();
  assert.equal(await span(holds.page), held);
  await holds.check();

  // Two workers, each with a ring of its own, have seen the same flows.
  await check();
  one.child.kill('SIGINT');
  two.child.kill('SIGINT');
  const seen = [];
  for (const { over } of [one, two]) {
    const { code, lines } = await over;
    assert.equal(code, 0);
    assert.equal(lines.find((l) => l.type === 'summary').lost, 0);
    seen.push(lines.filter((l) => l.type === 'flow')
      .map((f) => [f.client, f.client_port, f.server, f.server_port, f.proto, f.app, f.rule, f.packets_up, f.packets_down, f.bytes_up,
        f.bytes_down, f.retransmits, f.end_reason].join(' ')).sort());
  }
  assert.ok(seen[0].filter((f) => f.includes(' HTTP ')).length > CLIENTS.length * WARM_UP, `${seen[0].length} flows`);
  assert.deepEqual(seen[1], seen[0]);
});
