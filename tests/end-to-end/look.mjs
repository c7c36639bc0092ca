// SPDX-License-Identifier: LGPL-3.0-or-later
// Takes pictures of every view, light and dark, wide and narrow: node look.mjs URL FOLDER [PART-OF-NAME]
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [url, folder, only = ''] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const views = { overview: '#/overview', applications: '#/applications', flows: '#/flows', events: '#/events' };
for (const scheme of ['light', 'dark']) {
  for (const [size, width, height] of [['wide', 1360, 900], ['narrow', 390, 844]]) {
    const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height }, timezoneId: 'Europe/Berlin' });
    const page = await context.newPage();
    page.on('console', (m) => m.type() === 'error' && console.log(m.text()));
    page.on('pageerror', (e) => console.log(e.stack));
    for (const [name, hash] of Object.entries(views)) {
      const file = `${name}-${scheme}-${size}`;
      if (!file.includes(only)) continue;
      await page.goto('about:blank');
      await page.goto(url + hash);
      await page.waitForTimeout(900);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wider > 0) console.log(`${file}: ${wider} px wider than the window`);
      await page.screenshot({ path: `${folder}/${file}.png`, fullPage: name !== 'flows' });
    }
    await context.close();
  }
}
await browser.close();
