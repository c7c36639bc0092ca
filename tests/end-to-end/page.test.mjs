// SPDX-License-Identifier: LGPL-3.0-or-later
// What a reader does with the page, in a real browser against the real program (see harness.mjs).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { api, eventually, start, stop, visit } from './harness.mjs';

let url, status, events;
// The stand-in knows less of filters than the program.
const skip = process.env.KOTARE_STUB ? 'needs the program itself' : false;

before(async () => {
  url = await start();
  status = (await api(url, 'status')).body;
  events = (await api(url, 'events')).body.events;
});
after(stop);

const params = (page) => new URLSearchParams(new URL(page.url()).hash.split('?')[1] ?? '');
const drawn = async (page) => {
  await page.locator('.legend li').first().waitFor();
  await page.locator('.plot canvas').first().waitFor();
};
// How many of the canvas' pixels are as colourful as only areas are.
const painted = (page) => page.locator('.plot canvas').evaluate((c) => {
  const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 255 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 40) n++;
  }
  return n / (c.width * c.height);
});
// As text runs: the page keeps numbers and their units together with a space that does not break.
const plain = async (locator) => (await locator.innerText()).replaceAll('\u202f', ' ');
const spanText = (page) => page.locator('.windowbar .span').innerText();
const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  return `${e.tagName} ${e.className} ${e.getAttribute('aria-label') ?? e.textContent}`.trim();
});

test('the overview shows the traffic, key figures and the events', async () => {
  const { page, check } = await visit(url);
  await drawn(page);
  assert.ok(await eventually(async () => (await painted(page)) > 0.02, 'the chart is painted'));
  const apps = (await api(url, 'applications')).body;
  const figures = await page.locator('.figures').innerText();
  assert.match(figures, /\d[\d.]*\s?[KMG]?i?B/);
  assert.doesNotMatch(figures, /NaN|undefined|…/);
  assert.ok((await page.locator('.legend li').count()) >= Math.min(3, apps.applications.length));
  await eventually(async () => (await page.locator('.marker').count()) === events.length, 'a marker for each event');
  assert.equal(await page.locator('.health').count(), 5);
  assert.equal(await page.locator('.top-list li').first().locator('.name').innerText(), apps.applications[0].name);
  await check();
});

test('what is stacked and measured is a choice that the address keeps', async () => {
  const { page, check } = await visit(url);
  await drawn(page);
  for (const [choice, kind] of [['Category', 'category'], ['Direction', 'direction'], ['Port', 'port']]) {
    await page.getByText(choice, { exact: true }).click();
    await eventually(() => params(page).get('stack') === kind, 'the address says what is stacked');
    const names = (await api(url, `series?kind=${kind}`)).body.series.filter((s) => s.total > 0).length;
    await eventually(async () => (await page.locator('.legend li').count()) === names, `the layers of ${kind}`);
  }
  await page.getByText('Packets', { exact: true }).last().click();
  await eventually(() => params(page).get('metric') === 'packets', 'the address says what is measured');
  await page.reload();
  await drawn(page);
  assert.ok(await page.getByRole('radio', { name: 'Port' }).isChecked());
  await check();
});

test('dragging zooms, a double click resets, back and forward and a reload keep their windows', async () => {
  const { page, check } = await visit(url);
  await drawn(page);
  const whole = await spanText(page);
  const box = await page.locator('.plot .u-over').boundingBox();
  const drag = async (a, b, keys = []) => {
    for (const k of keys) await page.keyboard.down(k);
    await page.mouse.move(box.x + box.width * a, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * ((a + b) / 2), box.y + 70, { steps: 4 });
    await page.mouse.move(box.x + box.width * b, box.y + 70, { steps: 4 });
    await page.mouse.up();
    for (const k of keys) await page.keyboard.up(k);
  };
  await drag(0.25, 0.75);
  await eventually(() => params(page).get('from'), 'the window is held');
  const first = params(page).toString(), text = await spanText(page);
  assert.notEqual(text, whole);
  const [from, to] = ['from', 'to'].map((k) => BigInt(params(page).get(k)));
  const length = BigInt(status.last) - BigInt(status.first);
  assert.ok(to - from > length / 3n && to - from < (length * 2n) / 3n, 'about the half that was dragged over');

  await drag(0.5, 0.75, ['Shift']);
  await eventually(() => params(page).toString() !== first, 'Shift and drag pans');
  const panned = ['from', 'to'].map((k) => BigInt(params(page).get(k)));
  assert.equal(panned[1] - panned[0], to - from, 'a pan keeps the length');
  assert.ok(panned[0] < from, 'dragging to the right shows what was before');

  await page.goBack();
  await eventually(() => params(page).toString() === first, 'back is the window before');
  await eventually(async () => (await spanText(page)) === text, 'and the page shows it');
  await page.reload();
  await drawn(page);
  assert.equal(await spanText(page), text);
  await page.goBack();
  await eventually(async () => (await spanText(page)) === whole, 'back once more is everything');
  await page.goForward();
  await eventually(async () => (await spanText(page)) === text, 'forward is the window again');
  await drawn(page);
  await page.mouse.dblclick(box.x + box.width / 2, box.y + 100);
  await eventually(() => !params(page).get('from'), 'a double click lets go');
  await check();
});

test('the window and the filter go along to the other views', async () => {
  const { page, check } = await visit(url);
  await drawn(page);
  await page.getByRole('button', { name: 'Zoom in' }).click();
  await eventually(() => params(page).get('from'), 'the window is held');
  const text = await spanText(page);
  for (const view of ['Applications', 'Flows', 'Events']) {
    await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: view }).click();
    await page.waitForURL(new RegExp(`#/${view.toLowerCase()}`));
    await eventually(async () => (await page.title()) === `${view} – Kōtare`, 'the title names the view');
    assert.equal(await spanText(page), text);
  }
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Applications' }).click();
  const link = page.locator('.rows tbody th a').first();
  const name = await link.innerText();
  await link.click();
  await page.locator('.flows tbody tr').first().waitFor();
  assert.equal(params(page).get('filter'), `app == "${name}"`);
  assert.equal(await spanText(page), text);
  await check();
});

test('live updates never move a held window, and move the page when nothing is held', async () => {
  const live = { ...status, live: true, done: false };
  const { page, check } = await visit(url, '', { fakeStream: true });
  await page.waitForFunction(() => window.say);
  await page.evaluate((s) => window.say('status', s), live);
  await drawn(page);
  assert.match(await page.locator('.windowbar .state').innerText(), /live/i);
  const before = await spanText(page);
  const later = (s) => ({ ...live, last: String(BigInt(live.last) + BigInt(s) * 1000000000n), packets: live.packets + s });
  await page.evaluate((s) => window.say('status', s), later(5));
  await eventually(async () => (await spanText(page)) !== before, 'without a hold the page follows');

  await page.getByRole('button', { name: 'Zoom in' }).click();
  await eventually(() => params(page).get('from'), 'the window is held');
  const address = page.url(), text = await spanText(page);
  assert.match(await page.locator('.windowbar .state').innerText(), /held/i);
  for (let s = 6; s < 12; s++) await page.evaluate((x) => window.say('status', x), later(s));
  await page.evaluate((e) => window.say('events', { events: e }), events);
  await page.waitForTimeout(500);
  assert.equal(page.url(), address);
  assert.equal(await spanText(page), text);
  await page.getByRole('button', { name: 'Follow again' }).click();
  await eventually(async () => /live/i.test(await page.locator('.windowbar .state').innerText()), 'it follows again');
  await page.getByRole('combobox', { name: 'Follow' }).selectOption('60');
  await eventually(() => params(page).get('last') === '60', 'the newest minute is followed');
  await eventually(async () => /1\s?min|60/.test(await spanText(page)), 'and shown');
  await check();
});

test('a lost connection is told, what was shown stays', async () => {
  const { page, check } = await visit(url, '', { fakeStream: true });
  await page.waitForFunction(() => window.say);
  await page.evaluate((s) => window.say('status', s), status);
  await drawn(page);
  await page.evaluate(() => window.lose());
  await page.getByText('The connection is lost.').waitFor();
  assert.ok((await page.locator('.legend li').count()) > 0);
  await page.evaluate((s) => window.say('status', s), status);
  await page.getByText('The connection is lost.').waitFor({ state: 'detached' });
  await check();
});

test('flows are filtered, sorted and paged by the server', async () => {
  const asked = [];
  const { page, check } = await visit(url, '#/flows');
  page.on('request', (r) => r.url().includes('/flows?') && asked.push(new URL(r.url()).searchParams));
  await page.locator('.flows tbody tr').first().waitFor();
  const app = (await api(url, 'applications')).body.applications.find((a) => a.flows > 1).name;
  const filter = `app == "${app}"`;
  await page.getByLabel('Filter', { exact: true }).fill(filter);
  await page.getByRole('button', { name: 'Apply' }).click();
  const reply = (await api(url, `flows?filter=${encodeURIComponent(filter)}`)).body;
  const total = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f');
  await eventually(async () => (await page.locator('.pager').innerText()).includes(`of ${total(reply.total)} flows`), 'the total of the filter');
  assert.deepEqual([...new Set(await page.locator('.flows tbody td:nth-child(4)').allInnerTexts())], [app]);

  await page.getByRole('columnheader', { name: 'Bytes' }).getByRole('button').click();
  await eventually(() => asked.at(-1)?.get('sort') === 'bytes' && asked.at(-1).get('order') === 'desc', 'the server is asked to sort');
  const biggest = (await api(url, `flows?filter=${encodeURIComponent(filter)}&sort=bytes&order=desc&limit=1`)).body.flows[0];
  await eventually(async () => (await page.locator('.flows tbody tr').first().innerText()).replace(/[[\]]/g, '').includes(`${biggest.client}:${biggest.client_port}`), 'the biggest flow first');
  assert.equal(await page.getByRole('columnheader', { name: 'Bytes' }).getAttribute('aria-sort'), 'descending');

  await page.getByRole('button', { name: 'Clear' }).click();
  await eventually(() => !params(page).get('filter'), 'the filter is gone');
  const all = (await api(url, 'flows?limit=1')).body.total;
  await eventually(async () => (await page.locator('.pager').innerText()).includes(`of ${total(all)} flows`), 'all flows');
  if (all > 100) {
    await page.getByRole('button', { name: 'Next' }).click();
    await eventually(() => asked.at(-1).get('offset') === '100', 'the second page is asked for');
    await eventually(async () => (await page.locator('.pager').innerText()).startsWith('101'), 'and shown');
    assert.equal(params(page).get('page'), '2');
  }
  await check();
});

test('a wrong filter shows the sentence of the compiler and keeps what was typed', async () => {
  const wrong = 'aap == "DNS"';
  const { page, check } = await visit(url, '#/flows', { expected: /^400 .*\/flows\?/ });
  await page.locator('.flows tbody tr').first().waitFor();
  await page.getByLabel('Filter', { exact: true }).fill(wrong);
  await page.keyboard.press('Enter');
  const said = await api(url, `flows?filter=${encodeURIComponent(wrong)}`);
  assert.equal(said.status, 400);
  const alert = page.locator('#filter-error');
  await alert.waitFor();
  assert.equal((await alert.innerText()).trim(), said.body.error.trim());
  assert.equal(await page.getByLabel('Filter', { exact: true }).inputValue(), wrong);
  assert.equal(await page.getByLabel('Filter', { exact: true }).getAttribute('aria-invalid'), 'true');
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.locator('.flows tbody tr').first().waitFor();
  await check();
});

test('every sort of the flows is known to the server, and every example filter compiles', { skip }, async () => {
  const { page, check } = await visit(url, '#/flows');
  await page.locator('.flows tbody tr').first().waitFor();
  for (const column of ['Start', 'Client', 'Server', 'Application', 'Bytes', 'Duration', 'Round trip', 'Retransmitted']) {
    const answer = page.waitForResponse((r) => r.url().includes('/flows?'));
    await page.getByRole('columnheader', { name: column }).getByRole('button').click();
    assert.equal((await answer).status(), 200, `sorted by ${column}`);
  }
  for (const chip of await page.locator('.chip').allInnerTexts()) {
    assert.equal((await api(url, `flows?limit=1&filter=${encodeURIComponent(chip)}`)).status, 200, chip);
  }
  await check();
});

test('what the replies say of flows can be asked for', { skip }, async () => {
  const { flows } = (await api(url, 'flows?limit=1000&sort=proto')).body;
  const asked = new Set();
  for (const f of flows) {
    for (const field of ['proto', 'app', 'category', 'rule', 'name', 'name_kind', 'end_reason']) {
      if (f[field] !== null && asked.size < 200) asked.add(`${field} == ${JSON.stringify(f[field])}`);
    }
    for (const flag of f.flags) asked.add(flag);
  }
  for (const filter of asked) {
    const { status: code, body } = await api(url, `flows?limit=1&filter=${encodeURIComponent(filter)}`);
    assert.equal(code, 200, `${filter}: ${body.error}`);
    assert.ok(body.total > 0, `no flow is found with ${filter}`);
  }
});

test('a flow without addresses opens too', { skip }, async (t) => {
  const { flows } = (await api(url, `flows?limit=1&filter=${encodeURIComponent('ip == 0')}`)).body;
  if (!flows.length) return t.skip('this input holds nothing but IP');
  const { page, check } = await visit(url, `#/flows?filter=${encodeURIComponent('ip == 0')}&flow=${flows[0].id}`);
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  for (const link of await dialog.locator('.links a').all()) {
    const filter = new URLSearchParams((await link.getAttribute('href')).split('?')[1]).get('filter');
    assert.equal((await api(url, `flows?limit=1&filter=${encodeURIComponent(filter)}`)).status, 200, filter);
  }
  await check();
});

test('a flow opens with rule, confidence and evidence, by keyboard too', async () => {
  const flow = (await api(url, 'flows?sort=bytes&order=desc&limit=1')).body.flows[0];
  const { page, check } = await visit(url, '#/flows?sort=bytes&order=desc');
  const open = page.locator('.flows .open').first();
  await open.focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  const text = await dialog.innerText();
  assert.ok(text.includes(flow.app));
  if (flow.rule) assert.ok(text.includes(flow.rule));
  const hex = flow.evidence.up?.hex || flow.evidence.down?.hex;
  if (hex) assert.ok((await dialog.locator('.dump').allInnerTexts()).join('').includes(hex.slice(0, 16).match(/../g).join(' ')));
  assert.equal(params(page).get('flow'), flow.id);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.match(await focused(page), /open/);
  await check();
});

// What the drawer says of the first flow that a filter finds; '' when there is none.
async function why(filter) {
  const flow = (await api(url, `flows?limit=1&filter=${encodeURIComponent(filter)}`)).body.flows[0];
  if (!flow) return '';
  const { page, check } = await visit(url, `#/flows?filter=${encodeURIComponent(filter)}&flow=${flow.id}`);
  await page.getByRole('dialog').waitFor();
  await page.waitForFunction(() => ['rules?', 'limit=0'].every((x) => performance.getEntriesByType('resource')
    .some((e) => e.name.includes(x) && e.responseEnd > 0 && performance.now() - e.responseEnd > 100)));
  const text = await plain(page.getByRole('dialog'));
  await check();
  return text;
}

test('a flow says which line of which rule it was, and when that is only a guess', { skip }, async () => {
  for (const [filter, sure] of [['app == "HTTP" and confidence > 90', true], ['confidence == 35', false]]) {
    const flow = (await api(url, `flows?limit=1&filter=${encodeURIComponent(filter)}`)).body.flows[0];
    const { rules } = (await api(url, `rules?id=${flow.rule}`)).body;
    const line = rules[0].lines.find((l) => l.accept === flow.accept && l.confidence === flow.confidence);
    const text = await why(`id == ${flow.id}`);
    assert.ok(text.includes(`${flow.confidence} % sure`), text);
    assert.ok(text.includes(line.text) && text.includes(`${line.file}, line ${line.line}`), text);
    assert.equal(/It is a guess: nothing but the port/.test(text), !sure, text);
    assert.equal(/The beginning of the connection was not seen/.test(text), !sure, text);
  }
});

test('what no rule was asked of says what told it, without a share of certainty', { skip }, async () => {
  for (const [filter, says] of [['app == "ICMP"', 'The IP header says so'], ['ip == 0', 'carry no IP'],
    ['rule == "no-payload"', 'Neither side sent any payload']]) {
    const text = await why(filter);
    if (!text) continue;
    assert.ok(text.includes(says), text);
    assert.doesNotMatch(text, /%|accepted|was silent/);
    assert.doesNotMatch(text, /\b1 packets/);
  }
});

test('a flow that announced others leads to them, one that did not does not', { skip }, async (t) => {
  const { flows } = (await api(url, `flows?limit=1&filter=${encodeURIComponent('announced_by >= 0')}`)).body;
  if (!flows.length) return t.skip('nothing was announced in this input');
  assert.match(await why(`id == ${flows[0].announced_by.flow}`), /that it announced/);
  const quiet = await why('app == "DNS"');
  assert.ok(quiet && !/announced/.test(quiet));
});

test('the list of fields is the program\'s', { skip }, async () => {
  const { page, check } = await visit(url, '#/flows');
  await page.getByText('All fields').click();
  await page.locator('.fields dt').first().waitFor();
  const { fields } = (await api(url, 'fields')).body;
  assert.deepEqual(await page.locator('.fields dt').allInnerTexts(), fields.map((f) => `${f.name} ${f.type}`));
  await check();
});

test('a click on the chart stays at that moment and leads to its flows, by keys too', async () => {
  const { page, check } = await visit(url, '#/overview?only=DNS');
  await drawn(page);
  const box = await page.locator('.plot .u-over').boundingBox();
  await page.mouse.click(box.x + box.width * 0.3, box.y + 80);
  const readout = page.locator('.readout.stays');
  await readout.waitFor();
  const when = await readout.locator('.when').innerText();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 80);
  assert.equal(await readout.locator('.when').innerText(), when, 'it stays');
  await page.keyboard.press('Escape');
  await readout.waitFor({ state: 'detached' });
  await page.mouse.click(box.x + box.width * 0.6, box.y + 80);
  await readout.getByRole('button', { name: 'Close' }).click();
  await readout.waitFor({ state: 'detached' });

  await page.locator('.plot').focus();
  await page.keyboard.press('End');
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowLeft');
  const there = await page.locator('.readout .when').innerText();
  await page.keyboard.press('Enter');
  await eventually(async () => /Flows of/.test(await focused(page)), 'Enter goes to the link');
  await page.keyboard.press('Escape');
  await eventually(async () => /Traffic by/.test(await focused(page)), 'Escape comes back');
  assert.equal(params(page).get('only'), 'DNS', 'and changes nothing');
  await page.keyboard.press('Enter');
  await eventually(async () => /Flows of/.test(await focused(page)), 'and again');
  await page.keyboard.press('Enter');
  await page.waitForURL(/#\/flows/);
  const [from, to] = ['from', 'to'].map((k) => BigInt(params(page).get(k)));
  assert.ok(there.startsWith(new Date(Number(from / 1000000n)).toISOString().slice(11, 19)), `${there} is ${from}`);
  assert.ok(to - from >= BigInt(status.interval) && (to - from) % BigInt(status.interval) === 0n);
  assert.equal(params(page).get('filter'), 'app == "DNS"');
  await check();
});

test('the strip below the chart measures what the chart does', async () => {
  const asked = [];
  const { page, check } = await visit(url);
  page.on('request', (r) => r.url().includes('kind=total') && asked.push(new URL(r.url()).searchParams.get('metric')));
  await drawn(page);
  await page.getByText('New flows', { exact: true }).click();
  await eventually(() => asked.at(-1) === 'flows', 'the strip is asked for in flows');
  await check();
});

test('the state of the window says when it is a part', async () => {
  for (const [hash, state] of [['', 'All'], ['#/overview?last=60', 'Part'], ['#/overview?last=999999', 'All']]) {
    const { page, check } = await visit(url, hash);
    await drawn(page);
    assert.equal(await page.locator('.windowbar .state').innerText(), state, hash);
    await check();
  }
});

test('all views tell one number of applications, and layers have colours of their own', async () => {
  const { page, check } = await visit(url);
  await drawn(page);
  const figure = await page.locator('.figures > div', { hasText: 'Applications' }).locator('dd').first().innerText();
  const colours = await page.locator('.legend .swatch').evaluateAll((all) => all.map((e) => getComputedStyle(e).backgroundColor));
  assert.equal(new Set(colours).size, colours.length);
  await page.getByRole('link', { name: 'All applications' }).click();
  await eventually(async () => (await plain(page.locator('.count'))).startsWith(`${figure} application`), 'the same number');
  await check();
});

test('an event says what, when, how sure and why, and leads to its flows and its window', async (t) => {
  if (!events.length) return t.skip('this input has no events');
  const { page, check } = await visit(url, '#/events');
  const cards = page.locator('.event');
  await cards.first().waitFor();
  assert.equal(await cards.count(), events.length);
  const event = events.find((e) => e.causes.length) ?? events[0];
  const card = page.locator(`#event-${event.id}`);
  const text = await plain(card);
  assert.ok(text.includes(event.title));
  assert.match(text, /How sure[\s\S]*\d\s?%/);
  if (event.causes.length) assert.ok(text.includes(event.causes[0].name));
  // Every link of every card leads to something that the API knows.
  for (const link of skip ? [] : await page.locator('.event a[href*="filter="]').all()) {
    const q = new URLSearchParams((await link.getAttribute('href')).split('?')[1]);
    const reply = await api(url, `flows?limit=1&${q}`);
    assert.equal(reply.status, 200, `${q}: ${reply.body.error}`);
    assert.ok(reply.body.total > 0, `no flows behind ${q}`);
  }
  await card.getByRole('link', { name: 'Flows of that moment' }).click();
  await page.waitForURL(/#\/flows/);
  assert.equal(params(page).get('from'), event.began);
  assert.equal(params(page).get('filter') ?? '', event.filter);
  const q = new URLSearchParams({ from: params(page).get('from'), to: params(page).get('to'), filter: event.filter });
  const reply = await api(url, `flows?${q}`);
  assert.equal(reply.status, 200, reply.body.error);
  assert.ok(reply.body.total > 0, 'the event has flows');
  await page.locator('.flows tbody tr').first().waitFor();
  await page.goBack();
  await card.getByRole('link', { name: 'Show on the overview' }).click();
  await drawn(page);
  assert.ok(BigInt(params(page).get('from') ?? status.first) <= BigInt(event.began));
  await page.locator('.marker').first().waitFor();
  await check();
});

test('a marker on the overview leads to its event', async (t) => {
  if (!events.length) return t.skip('this input has no events');
  const { page, check } = await visit(url);
  await drawn(page);
  const event = [...events].sort((a, b) => (BigInt(a.began) < BigInt(b.began) ? -1 : 1))[0];
  await page.locator('.marker').first().waitFor();
  await page.getByRole('link', { name: event.title }).first().focus();
  await page.keyboard.press('Enter');
  await page.locator('.event.chosen').waitFor();
  assert.ok((await plain(page.locator('.event.chosen'))).includes(event.title));
  await check();
});

test('the chart is usable with keys alone', async () => {
  const { page, check } = await visit(url);
  await drawn(page);
  await eventually(async () => (await page.locator('.marker').count()) === events.length, 'markers');
  const seen = [];
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    seen.push(await focused(page));
    if (/Traffic by/.test(seen.at(-1))) break;
  }
  for (const what of ['To the content', 'Overview', 'Flows', 'Zoom in', 'Theme', 'Traffic by']) {
    assert.ok(seen.some((s) => s.includes(what)), `Tab reaches "${what}"`);
  }
  for (const e of events) assert.ok(seen.some((s) => s.includes(e.title)), `Tab reaches the marker of "${e.title}"`);
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowLeft');
  await page.locator('.readout').waitFor();
  const one = await page.locator('.readout .when').innerText();
  await page.keyboard.press('ArrowLeft');
  await eventually(async () => (await page.locator('.readout .when').innerText()) !== one, 'the readout moves');
  await page.keyboard.press('+');
  await eventually(() => params(page).get('from'), '+ zooms in');
  const from = BigInt(params(page).get('from'));
  await page.keyboard.press('Shift+ArrowLeft');
  await eventually(() => BigInt(params(page).get('from') ?? 0) < from, 'Shift+left pans to before');
  assert.match(await focused(page), /Traffic by/);
  await page.keyboard.press('0');
  await eventually(() => !params(page).get('from'), '0 resets');
  await check();
});

test('Tab reaches whatever can be used in every view, and shows where it is', async () => {
  for (const [view, ready] of [['overview', '.healths'], ['applications', '.spark'], ['flows', '.pager'], ['events', '.event']]) {
    const { page, check } = await visit(url, `#/${view}`);
    await page.locator(ready).first().waitFor();
    if (view === 'overview') await eventually(async () => (await page.locator('.marker').count()) === events.length, 'markers');
    // Of a group of radio buttons Tab reaches the one that is chosen, of the flows one; arrows do the rest.
    const targets = await page.evaluate(() => {
      window.targets = [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
        .filter((e) => !e.disabled && e.tabIndex >= 0 && e.checkVisibility() && !(e.type === 'radio' && !e.checked));
      return window.targets.length;
    });
    assert.ok(targets > 10, `${targets} things to use in ${view}`);
    const reached = new Set();
    let faint = [];
    for (let i = 0; i < targets + 10 && reached.size < targets; i++) {
      await page.keyboard.press('Tab');
      const [at, shows] = await page.evaluate(() => {
        const e = document.activeElement;
        const seen = [e, e.nextElementSibling].some((x) => x && getComputedStyle(x).outlineStyle !== 'none' && parseFloat(getComputedStyle(x).outlineWidth) > 0);
        return [window.targets.indexOf(e), seen];
      });
      if (at >= 0) reached.add(at);
      if (!shows) faint.push(await focused(page));
    }
    const missed = await page.evaluate((r) => window.targets.filter((_, i) => !r.includes(i)).map((e) => e.outerHTML.slice(0, 120)), [...reached]);
    assert.deepEqual(missed, [], `not reached in ${view}`);
    assert.deepEqual(faint, [], `focus can not be seen in ${view}`);
    await check();
  }
});

test('keys alone choose, filter, open and come back', async () => {
  const { page, check } = await visit(url);
  await drawn(page);
  await page.getByRole('radio', { name: 'Application' }).focus();
  await page.keyboard.press('ArrowRight');
  await eventually(() => params(page).get('stack') === 'category', 'an arrow chooses the next');
  await page.getByRole('link', { name: 'Flows', exact: true }).focus();
  await page.keyboard.press('Enter');
  await page.locator('.flows tbody tr').first().waitFor();
  await eventually(async () => /^MAIN/.test(await focused(page)), 'the new view has the focus');
  await page.keyboard.press('Tab');
  const search = page.getByLabel('Filter', { exact: true });
  for (let i = 0; i < 12 && !(await search.evaluate((e) => e === document.activeElement)); i++) await page.keyboard.press('Tab');
  await page.keyboard.type('bytes > 100');
  await page.keyboard.press('Enter');
  await eventually(() => params(page).get('filter') === 'bytes > 100', 'Enter applies the filter');
  await page.locator('.flows:not(.stale) .open').first().focus();
  await page.keyboard.press('End');
  assert.equal(await page.locator('.flows .open').last().evaluate((e) => e === document.activeElement), true, 'End is the last row');
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.locator('.flows .open').nth(1).evaluate((e) => e === document.activeElement), true, 'down is the next row');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(params(page).get('filter'), 'bytes > 100');
  await check();
});

test('flows of several days tell the day', async () => {
  const { flows } = (await api(url, 'flows?limit=2')).body;
  const later = String(BigInt(flows[1].start) + 2n * 86400000000000n);
  const body = JSON.stringify({ total: 2, offset: 0, flows: [flows[0], { ...flows[1], start: later, end: later }] });
  const { page, check } = await visit(url, '#/flows', { routes: [['**/api/v1/flows?*', (r) => r.fulfill({ contentType: 'application/json', body })]] });
  await page.locator('.flows .open').first().waitFor();
  assert.deepEqual((await page.locator('.flows .open').allInnerTexts()).map((x) => x.slice(0, 10)),
    [flows[0].start, later].map((t) => new Date(Number(BigInt(t) / 1000000n)).toISOString().slice(0, 10)));
  await check();
});

test('light and dark follow the system and the switch', async () => {
  const { page, check } = await visit(url, '', { colorScheme: 'dark' });
  await drawn(page);
  const light = () => page.evaluate(() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
    return r + g + b > 380;
  });
  assert.equal(await light(), false);
  await page.getByRole('button', { name: 'Theme: auto' }).click();
  await page.getByRole('button', { name: 'Theme: light' }).waitFor();
  assert.equal(await light(), true);
  await page.reload();
  await drawn(page);
  assert.equal(await light(), true, 'the choice is kept');
  assert.ok((await painted(page)) > 0.02);
  await check();
});

test('times are UTC and, when asked for, local', async () => {
  const { page, check } = await visit(url);
  await drawn(page);
  const utc = await spanText(page);
  assert.ok(utc.startsWith(new Date(Number(BigInt(status.first) / 1000000n)).toISOString().slice(0, 19).replace('T', ' ')));
  await page.getByRole('button', { name: 'Times in UTC' }).click();
  await eventually(async () => (await spanText(page)) !== utc, 'local time is shown');
  await check();
});

test('each view fits a narrow screen and names all its controls', async () => {
  for (const view of ['overview', 'applications', 'flows', 'events']) {
    const { page, check } = await visit(url, `#/${view}`, { viewport: { width: 400, height: 800 } });
    await page.locator({ overview: '.healths', applications: '.rows', flows: '.pager', events: '.event' }[view]).first().waitFor();
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${view} is too wide`);
    const nameless = await page.evaluate(() => [...document.querySelectorAll('a, button, input, select, [role], svg, meter, progress')]
      .filter((e) => !e.closest('[aria-hidden="true"]') && !e.matches('[role=status], [role=alert], [role=search]'))
      .filter((e) => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length || e.textContent.trim()))
      .map((e) => e.outerHTML.slice(0, 120)));
    assert.deepEqual(nameless, [], view);
    await check();
  }
});

test('on a narrow screen too, bars are as long as what they stand for and heads stand over their numbers', async (t) => {
  if (!events.length) return t.skip('this input has no events');
  const narrow = { viewport: { width: 390, height: 844 } };
  const { page, check } = await visit(url, '', narrow);
  await drawn(page);
  await eventually(async () => (await page.locator('.marker').count()) === events.length, 'markers');
  const width = await page.locator('.plot .u-over').evaluate((e) => e.clientWidth);
  const whole = Number(BigInt(status.last) - BigInt(status.first));
  for (const e of events.filter((x) => x.ended)) {
    const long = Math.max(2, (width * Number(BigInt(e.ended) - BigInt(e.began))) / whole);
    const bar = await page.getByRole('link', { name: e.title }).locator('.lasts').evaluate((x) => x.offsetWidth);
    assert.ok(Math.abs(bar - long) < 2, `${e.title}: ${bar} px for ${long}`);
  }
  await check();

  const causes = await visit(url, '#/events', narrow);
  await causes.page.locator('.causes .bar').first().waitFor();
  const bars = await causes.page.locator('.causes .bar').evaluateAll((all) => all.map((b) => b.clientWidth));
  assert.ok(Math.min(...bars) > 100, `bars of ${bars} px`);
  await causes.check();

  const apps = await visit(url, '#/applications', narrow);
  await apps.page.locator('tbody th').first().waitFor();
  const right = (of) => apps.page.locator(of).evaluate((e) => {
    const range = document.createRange();
    range.selectNodeContents(e);
    return range.getBoundingClientRect().right;
  });
  assert.ok(Math.abs((await right('thead th:nth-child(4)')) - (await right('tbody tr:first-child td:nth-child(4)'))) < 1);
  await apps.check();
});

test('errors and emptiness are said in words', async () => {
  const fail = (route) => route.fulfill({ status: 500, contentType: 'application/json', body: '{"error":"the store is gone","code":"io"}' });
  for (const [view, path] of [['overview', 'series'], ['applications', 'applications'], ['flows', 'flows'], ['events', 'events']]) {
    const { page, check } = await visit(url, `#/${view}`, { routes: [[`**/api/v1/${path}*`, fail]], expected: /^500 .*the store is gone/ });
    await page.getByText('the store is gone').first().waitFor();
    await check();
  }
  const empty = (body) => (route) => route.fulfill({ status: 200, contentType: 'application/json', body });
  const { page, check } = await visit(url, '#/events', { routes: [['**/api/v1/events*', empty('{"events":[]}')]] });
  await page.getByText('Nothing unusual', { exact: true }).waitFor();
  await check();
  const silent = { ...status, input: '-', first: '0', last: '0', packets: 0, bytes_total: 0, done: false };
  const waiting = await visit(url, '', { fakeStream: true, routes: [['**/api/v1/status', empty(JSON.stringify(silent))]] });
  await waiting.page.getByText('Nothing has arrived from standard input yet.').waitFor();
  assert.match(await waiting.page.locator('.run').innerText(), /standard input\s+reading$/);
  await waiting.check();
  const none = await visit(url, `#/flows?filter=${encodeURIComponent('bytes < 0')}`);
  await none.page.getByText('No flow matches').waitFor();
  await none.check();
});

test('the page is served with a strict policy', async () => {
  const reply = await fetch(url);
  const policy = reply.headers.get('content-security-policy') ?? '';
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"]) assert.ok(policy.includes(part), part);
  assert.doesNotMatch(policy, /unsafe|\*/);
  assert.match(reply.headers.get('content-type'), /^text\/html/);
});
