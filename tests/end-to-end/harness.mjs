// SPDX-License-Identifier: LGPL-3.0-or-later
// Starts what is tested and a browser. Where the page comes from, first that applies:
//   KOTARE_URL=http://…   something that runs already
//   KOTARE_STUB=1         the stand-in of ui/dev (needs a built ui/dist)
//   KOTARE=PATH           the program, by default build/kotare, over samples/lab.pcap.zst
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const top = join(dirname(fileURLToPath(import.meta.url)), '../..');
const BROWSERS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const children = [];
let browser;

export const inputPath = () => process.env.KOTARE_INPUT ?? join(top, 'samples/lab.pcap.zst');
export const programPath = () => process.env.KOTARE ?? join(top, 'build/kotare');

function command() {
  if (process.env.KOTARE_STUB) return [process.execPath, [join(top, 'ui/dev/stub.mjs'), '--port', '0']];
  return [programPath(), ['watch', inputPath(), '--listen', '127.0.0.1:0']];
}

// The program says "page: http://127.0.0.1:PORT/" on either output.
export function started(child) {
  children.push(child);
  return new Promise((resolve, reject) => {
    let said = '';
    const hear = (data) => {
      said += data;
      const m = said.match(/page: (http:\/\/\S+)/);
      if (m) resolve(m[1]);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`it ended with ${code} before it served a page:\n${said}`)));
  });
}

export async function openBrowser() {
  const executablePath = BROWSERS.find((p) => p && existsSync(p));
  assert.ok(executablePath, 'no Chromium is installed');
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
}

export async function start() {
  const url = process.env.KOTARE_URL ?? (await started(spawn(...command(), { stdio: ['ignore', 'pipe', 'pipe'] })));
  // The tests are about a whole recording.
  for (;;) {
    const s = await (await fetch(new URL('api/v1/status', url))).json();
    if (s.done || s.live) break;
    await new Promise((r) => setTimeout(r, 200));
  }
  await openBrowser();
  return url;
}

export async function stop() {
  await browser?.close();
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = new Promise((r) => child.once('exit', r));
    child.kill('SIGINT');
    await gone;
  }
}

// A page of its own that notes whatever must not happen; check() fails on it. `expected` matches the
// replies that may fail, as "400 /api/v1/flows?… {"error":…}".
export async function visit(url, hash = '', options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: 'Pacific/Auckland', ...options });
  const page = await context.newPage();
  const faults = [];
  const origin = new URL(url).origin;
  // The browser's own line about a failed reply says neither which nor why.
  page.on('console', (m) => {
    if (m.type() === 'error' && !/^Failed to load resource: the server responded/.test(m.text())) faults.push(`console: ${m.text()}`);
  });
  const failures = [];
  page.on('response', (r) => r.status() >= 400 && failures.push((async () => {
    const { pathname, search } = new URL(r.url());
    const said = `${r.status()} ${pathname}${search} ${await r.text().catch(() => '')}`;
    if (!options.expected?.test(said)) faults.push(`reply: ${said}`);
  })()));
  page.on('pageerror', (e) => faults.push(`error: ${e.message}`));
  page.on('request', (r) => {
    if (!r.url().startsWith(origin) && !r.url().startsWith('data:')) faults.push(`request to ${r.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`));
  });
  if (options.fakeStream) await page.addInitScript(fakeStream);
  if (options.routes) for (const [pattern, answer] of options.routes) await page.route(pattern, answer);
  await page.goto(url + hash);
  return {
    page,
    check: async () => {
      await Promise.all(failures);
      assert.deepEqual(faults, []);
      await context.close();
    },
  };
}

// An event stream that the test drives: window.say(event, data), window.lose().
function fakeStream() {
  class Fake extends EventTarget {
    readyState = 1;
    constructor() {
      super();
      window.say = (event, data) => this.dispatchEvent(new MessageEvent(event, { data: JSON.stringify(data) }));
      window.lose = () => {
        this.readyState = 0;
        this.onerror?.(new Event('error'));
      };
      setTimeout(() => this.onopen?.(new Event('open')));
    }
    close() {}
  }
  window.EventSource = Fake;
}

export async function api(url, path) {
  const reply = await fetch(new URL(`api/v1/${path}`, url));
  return { status: reply.status, headers: reply.headers, body: await reply.json() };
}

export async function eventually(probe, what, ms = 30000) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    last = await probe();
    if (last) return last;
    await new Promise((r) => setTimeout(r, 50));
  }
  assert.fail(`${what} (last seen: ${JSON.stringify(last)})`);
}
