// SPDX-License-Identifier: LGPL-3.0-or-later
// The page while the program still reads: the sample comes through a pipe in two parts.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { test } from 'node:test';
import { api, eventually, inputPath, openBrowser, programPath, started, stop, visit } from './harness.mjs';

const skip = process.env.KOTARE_STUB || process.env.KOTARE_URL ? 'needs the program itself' : false;

test('the page grows by itself while packets arrive, and a held window stays', { skip }, async (t) => {
  t.after(stop);
  const capture = execFileSync('zstd', ['-dc', inputPath()], { maxBuffer: 1 << 30 });
  const half = Math.floor(capture.length / 2);
  const child = spawn(programPath(), ['watch', '-', '--listen', '127.0.0.1:0'], { stdio: ['pipe', 'pipe', 'pipe'] });
  const url = await started(child);
  child.stdin.write(capture.subarray(0, half));
  const status = async () => (await api(url, 'status')).body;
  await eventually(async () => (await status()).packets > 0, 'the first half is read', 20000);

  await openBrowser();
  const follows = await visit(url);
  const holds = await visit(url);
  const span = (page) => page.locator('.windowbar .span').innerText();
  await follows.page.locator('.legend li').first().waitFor();
  await holds.page.locator('.legend li').first().waitFor();
  await holds.page.getByRole('button', { name: 'Zoom in' }).click();
  await eventually(() => holds.page.url().includes('from='), 'the window is held');
  // Nobody knows how long it will be.
  const run = await follows.page.locator('.run').innerText();
  assert.match(run, /standard input/);
  assert.doesNotMatch(run, /%/);
  const [moving, still, address, figure] = [await span(follows.page), await span(holds.page), holds.page.url(),
    await follows.page.locator('.figures').innerText()];

  child.stdin.end(capture.subarray(half));
  await eventually(async () => (await status()).done, 'all is read', 30000);
  await eventually(async () => (await span(follows.page)) !== moving, 'the window follows');
  await eventually(async () => (await follows.page.locator('.figures').innerText()) !== figure, 'so do the figures');
  const last = (await api(url, 'events')).body.events.length;
  await eventually(async () => (await follows.page.locator('.marker').count()) === last, 'new events appear');
  assert.equal(await span(holds.page), still);
  assert.equal(holds.page.url(), address);

  // The program ends: the page says so and keeps what it has.
  child.kill('SIGINT');
  await follows.page.getByText('The connection is lost.').waitFor();
  assert.ok((await follows.page.locator('.legend li').count()) > 0);
});
