// SPDX-License-Identifier: Apache-2.0
// Uses the page in a real browser: browser.mjs BROWSER BASE_URL IMAGE FOLDER. Leaves two screenshots in FOLDER and prints one JSON
// object for PageTest.
import {chromium} from 'playwright-core';
import path from 'node:path';

const [executablePath, base, image, folder] = process.argv.slice(2);
const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']});
const page = await browser.newPage({viewport: {width: 1000, height: 860}});
const out = {problems: [], elsewhere: []};
page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) { out.problems.push(message.text()); } });
page.on('pageerror', (error) => out.problems.push(String(error)));
page.on('request', (request) => {
  if (!request.url().startsWith(base) && !/^(data|blob):/.test(request.url())) { out.elsewhere.push(request.url()); }
});

/** The least contrast of a text with what is behind it, by WCAG's formula; half-transparent drafts are left out. */
function leastContrast() {
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let least = 21;
  for (const element of document.querySelectorAll('h1, h2, p, label, legend, dt, dd, button, textarea, summary, .answer')) {
    if (element.disabled || !element.getClientRects().length) { continue; }
    let behind = element;
    while (behind.parentElement && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) { behind = behind.parentElement; }
    const [a, b] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(parse).map(light).sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
}

await page.goto(`${base}/`);
out.contrast = {};
for (const colorScheme of ['light', 'dark']) {
  await page.emulateMedia({colorScheme});
  out.contrast[colorScheme] = await page.evaluate(leastContrast);
}
await page.emulateMedia({colorScheme: 'light'});

// Every control by the keyboard, and what a screen reader would call it.
out.focus = [];
for (let i = 0; i < 14; i++) {
  await page.keyboard.press('Tab');
  out.focus.push(await page.evaluate(() => document.activeElement.id || document.activeElement.tagName));
}
out.named = {
  question: await page.getByRole('textbox', {name: 'Question'}).count(),
  steps: await page.getByRole('slider', {name: /Steps per block/}).count(),
  threshold: await page.getByRole('slider', {name: /^Threshold/}).count(),
  dynamic: await page.getByRole('checkbox', {name: /dynamic remasking/}).count(),
  ask: await page.getByRole('button', {name: 'Ask'}).count(),
  status: await page.locator('#status[role=status]').count(),
};

// Ask about an image, in slow motion.
await page.setInputFiles('#file', image);
await page.waitForSelector('#images img');
const slide = (id, value) => page.locator(id).evaluate((slider, to) => {
  slider.value = to;
  slider.dispatchEvent(new Event('input'));
}, value);
await slide('#steps', 4);
await slide('#pace', 1000);
await page.locator('#length').fill('40');
await page.locator('#question').focus();
await page.keyboard.press('Control+Enter');
await page.waitForFunction(() => document.querySelectorAll('#turns .settled').length >= 1
  && document.querySelectorAll('#turns .cell.draft').length >= 2 && document.querySelectorAll('#turns .cell.mask').length >= 2);
out.half = await page.evaluate(() => ({
  masks: document.querySelectorAll('#turns .cell.mask').length,
  drafts: [...document.querySelectorAll('#turns .cell.draft')].map((cell) => ({
    opacity: Number(cell.style.opacity), confidence: Number(cell.title.replace('confidence ', ''))})),
  solid: document.querySelector('#turns .settled').textContent,
  speed: document.querySelector('#speed').textContent,
  forwards: document.querySelector('#forwards').textContent,
}));
await page.evaluate(() => scrollTo(0, 0));
await page.screenshot({path: path.join(folder, 'page-half-denoised.png')});
await slide('#pace', 0);
const finished = () => page.waitForFunction(() => /^Answer finished/.test(document.querySelector('#status').textContent));
await finished();
await page.waitForTimeout(600); // the colour of what was settled last fades
out.answer = await page.locator('#turns .answer').nth(1).textContent();
out.cellsLeft = await page.locator('#turns .cell').count();
out.forwards = await page.locator('#forwards').textContent();
out.tokens = await page.locator('#tokens').textContent();
await page.evaluate(() => scrollTo(0, 0));
await page.screenshot({path: path.join(folder, 'page-answer.png')});

// A second question, about the same image, with the dynamic rule.
await page.locator('#dynamic').check();
await slide('#threshold', 0.5);
await page.locator('#question').fill('What color is the square?');
await page.getByRole('button', {name: 'Ask'}).click();
await finished();
await page.waitForFunction(() => document.querySelectorAll('#turns .turn').length === 4 && !document.querySelector('#ask').disabled);
out.second = await page.locator('#turns .answer').nth(3).textContent();

// Stop, while it is being written.
await slide('#pace', 1000);
await page.locator('#question').fill('Describe this image.');
await page.getByRole('button', {name: 'Ask'}).click();
await page.waitForSelector('#turns .cell.draft');
await page.getByRole('button', {name: 'Stop'}).click();
await page.waitForFunction(() => document.querySelector('#status').textContent === 'Stopped.');
await page.getByRole('button', {name: 'New conversation'}).click();
out.turnsLeft = await page.locator('#turns .turn').count();
console.log(JSON.stringify(out));
await browser.close();
