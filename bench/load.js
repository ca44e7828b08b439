// SPDX-License-Identifier: Apache-2.0
// Users who ask a running `dvl serve`, wait for the answer and ask again, by k6 (https://k6.io):
//
//   k6 run -e USERS=8 bench/load.js
//
//   USERS     users at a time (default 8)
//   URL       of the server (default http://127.0.0.1:8080)
//   API_KEY   where the server wants one
//   DURATION  of the load (default 60s)
//   TOKENS    of an answer at most (default 128)
//
// http_req_duration is the time of a whole answer; tokens counts the tokens of all answers, and its rate is the throughput. Times per block
// are measured by `dvl bench serve`, in one process.
import encoding from 'k6/encoding';
import http from 'k6/http';
import { check } from 'k6';
import { Counter } from 'k6/metrics';

const server = __ENV.URL || 'http://127.0.0.1:8080';
const picture = encoding.b64encode(open('../samples/images/square-and-cross.png', 'b'));
const tokens = new Counter('tokens');

export const options = {
  vus: Number(__ENV.USERS || 8),
  duration: __ENV.DURATION || '60s',
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max'],
  thresholds: { checks: ['rate==1'] },
};

export default function () {
  const question = [
    { type: 'text', text: `Describe this image. (${__VU}, ${__ITER})` },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } },
  ];
  const body = { messages: [{ role: 'user', content: question }], max_tokens: Number(__ENV.TOKENS || 128) };
  const headers = { 'Content-Type': 'application/json' };
  if (__ENV.API_KEY) {
    headers.Authorization = `Bearer ${__ENV.API_KEY}`;
  }
  const answer = http.post(`${server}/v1/chat/completions`, JSON.stringify(body), { headers, timeout: '600s' });
  if (check(answer, { 'answered': (r) => r.status === 200 })) {
    tokens.add(answer.json('usage.completion_tokens'));
  }
}
