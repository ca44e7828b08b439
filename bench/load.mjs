// SPDX-License-Identifier: Apache-2.0
// Users of a running `dvl serve`: each asks about a picture, waits for the whole answer, and asks again. By autocannon
// (https://github.com/mcollina/autocannon), which .ci/run installs, and which can be had without it:
//
//   npm install --prefix target/clients autocannon
//   node bench/load.mjs --users 1,2,4,8 --seconds 60
//
//   --users     numbers of users, one after the other (default 1,2,4,8,16,32)
//   --seconds   of load for each number (default 60); answers that are under way at the end are given up
//   --tokens    of an answer at most (default 128)
//   --url       of the server (default http://127.0.0.1:8080)
//   API_KEY     in the environment, where the server wants one
//
// Prints a row per number of users: answers, refusals (429: more users than slots and queue), tokens per second, and times of whole
// answers in milliseconds. Times per block are measured by `dvl bench serve`, in one process. Exits with 1 when anything else happened.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const autocannon = createRequire(new URL('../target/clients/', import.meta.url))('autocannon');
const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '1,2,4,8,16,32' },
    seconds: { type: 'string', default: '60' },
    tokens: { type: 'string', default: '128' },
    url: { type: 'string', default: 'http://127.0.0.1:8080' },
  },
});
const picture = readFileSync(new URL('../samples/images/square-and-cross.png', import.meta.url)).toString('base64');
const headers = { 'Content-Type': 'application/json' };
if (process.env.API_KEY) {
  headers.Authorization = `Bearer ${process.env.API_KEY}`;
}

let asked = 0;

/** No two questions are equal, so that no prompt is known as a whole. */
function question() {
  const content = [
    { type: 'text', text: `Describe this image. (${asked++})` },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } },
  ];
  return JSON.stringify({ messages: [{ role: 'user', content }], max_tokens: Number(values.tokens) });
}

async function load(users) {
  const times = [];
  let tokens = 0;
  const run = autocannon({
    url: `${values.url}/v1/chat/completions`,
    connections: users,
    duration: Number(values.seconds),
    timeout: 600,
    bailout: 10, // errors, such as a server that is not there; a refusal is none
    requests: [{
      method: 'POST',
      headers,
      setupRequest: (request) => ({ ...request, body: question() }),
      onResponse: (status, body) => {
        if (status === 200) {
          tokens += JSON.parse(body).usage.completion_tokens;
        }
      },
    }],
  });
  run.on('response', (client, status, bytes, milliseconds) => {
    if (status === 200) {
      times.push(milliseconds);
    }
  });
  const result = await run;
  const refused = result.statusCodeStats?.['429']?.count ?? 0;
  const wrong = result.non2xx - refused + result.errors;
  times.sort((a, b) => a - b);
  const at = (share) => times.length === 0 ? '-' : times[Math.min(times.length - 1, Math.floor(share * times.length))].toFixed(0);
  return { wrong: wrong + (times.length === 0 ? 1 : 0),
    row: [users, times.length, refused, (tokens / result.duration).toFixed(1), at(0.5), at(0.95), at(0.99)] };
}

const print = (cells) => console.log(cells.map((cell) => String(cell).padStart(9)).join(''));
print(['users', 'answers', 'refused', 'tokens/s', 'p50 ms', 'p95 ms', 'p99 ms']);
for (const users of values.users.split(',').map(Number)) {
  const { row, wrong } = await load(users);
  print(row);
  if (wrong > 0) {
    console.error(`load.mjs: ${wrong} requests were not answered, or none was`);
    process.exitCode = 1;
  }
}
