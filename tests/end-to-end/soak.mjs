// SPDX-License-Identifier: LGPL-3.0-or-later
// Keeps a page open and looks at its views in turn: soak.mjs URL SECONDS. Says how much memory the page took,
// in MiB, as {"heap":[…]}.
import { openBrowser, stop, visit } from './harness.mjs';

const [url, seconds] = [process.argv[2], Number(process.argv[3])];
const views = ['#/', '#/applications', '#/flows', '#/events', '#/'];
const end = Date.now() + seconds * 1000;
const heap = [];

await openBrowser();
const { page, check } = await visit(url);
await page.locator('.legend li').first().waitFor();
const session = await page.context().newCDPSession(page);
for (let i = 0; Date.now() < end; i++) {
  await page.goto(url + views[i % views.length]);
  await page.waitForTimeout((seconds * 1000) / 40);
  await session.send('HeapProfiler.collectGarbage');
  heap.push(Math.round((await session.send('Runtime.getHeapUsage')).usedSize / 2 ** 20 * 10) / 10);
}
await check();
await stop();
console.log(JSON.stringify({ heap }));
