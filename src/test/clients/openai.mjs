// SPDX-License-Identifier: Apache-2.0
// What OpenAI's own client makes of the server: openai.mjs BASE_URL IMAGE. Prints one JSON object for ClientsTest.
import OpenAI from 'openai';
import {readFileSync} from 'node:fs';

const [base, image] = process.argv.slice(2);
const client = new OpenAI({baseURL: `${base}/v1`, apiKey: 'none', maxRetries: 0, timeout: 60_000});
const url = `data:image/png;base64,${readFileSync(image).toString('base64')}`;
const question = [{role: 'user', content: [{type: 'image_url', image_url: {url}}, {type: 'text', text: 'Describe this image.'}]}];
const model = (await client.models.list()).data[0].id;
const out = {model};

const answer = await client.chat.completions.create({model, messages: question, max_tokens: 64, logprobs: true});
out.text = answer.choices[0].message.content;
out.finish = answer.choices[0].finish_reason;
out.usage = answer.usage.total_tokens - answer.usage.prompt_tokens - answer.usage.completion_tokens;
out.logprobs = answer.choices[0].logprobs.content.map((token) => token.token).join('');

const stream = await client.chat.completions.create({model, messages: question, max_tokens: 64, stream: true,
  stream_options: {include_usage: true}});
out.streamed = '';
out.chunks = 0;
for await (const chunk of stream) {
  out.streamed += chunk.choices[0]?.delta?.content ?? '';
  out.chunks += chunk.choices[0]?.delta?.content ? 1 : 0;
  out.streamUsage = chunk.usage?.completion_tokens;
}

// The client's own accumulation of a stream.
out.accumulated = await client.chat.completions.stream({model, messages: question, max_tokens: 64}).finalContent();

const followUp = [...question, {role: 'assistant', content: out.text}, {role: 'user', content: 'What color is the square?'}];
out.followUp = (await client.chat.completions.create({model, messages: followUp, max_tokens: 32})).choices[0].message.content;

const cancelled = await client.chat.completions.create({model, messages: question, max_tokens: 800, temperature: 2, seed: 5, n: 4,
  stream: true});
for await (const chunk of cancelled) {
  if (chunk.choices[0]?.delta?.content) {
    cancelled.controller.abort();
    break;
  }
}

async function failure(request) {
  try {
    await client.chat.completions.create(request);
    return 'none';
  } catch (error) {
    return `${error.constructor.name} ${error.status} ${error.code} ${error.param} ${error.type}`;
  }
}
out.wrongModel = await failure({model: 'other', messages: question});
out.wrongField = await failure({model, messages: question, temperature: 9});
out.tooLong = await failure({model, messages: question, max_tokens: 100_000});
console.log(JSON.stringify(out));
