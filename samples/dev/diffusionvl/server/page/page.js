// SPDX-License-Identifier: Apache-2.0
'use strict';

const byId = (id) => document.getElementById(id);
const MASK = '▒';

let messages = []; // of the conversation so far, as they are sent
let images = []; // data: URIs for the next question
let running = null; // the AbortController of the answer in work

for (const name of ['steps', 'threshold', 'pace']) {
  byId(name).addEventListener('input', () => { byId(name + '-value').value = byId(name).value; });
}
byId('dynamic').addEventListener('change', () => { byId('threshold').disabled = !byId('dynamic').checked; });

// The key outlives a reload of this tab, and nothing else.
byId('key').value = sessionStorage.getItem('key') ?? '';
byId('key').addEventListener('change', () => sessionStorage.setItem('key', byId('key').value));

function say(text, error = false) {
  byId('status').textContent = text;
  byId('status').classList.toggle('error', error);
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text ?? '';
  return made;
}

async function addFiles(files) {
  for (const file of files) {
    if (!file.type.startsWith('image/')) {
      say(`${file.name} is not an image`, true);
      continue;
    }
    const url = await new Promise((done, failed) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.onerror = () => failed(reader.error);
      reader.readAsDataURL(file);
    });
    images.push({url, name: file.name});
  }
  showImages();
}

function picture(image) {
  const shown = document.createElement('img');
  shown.src = image.url;
  shown.alt = image.name;
  return shown;
}

function showImages() {
  byId('images').replaceChildren(...images.map((image) => {
    const item = document.createElement('li');
    const remove = element('button', '', '×');
    remove.type = 'button';
    remove.setAttribute('aria-label', `Remove ${image.name}`);
    remove.addEventListener('click', () => {
      images = images.filter((other) => other !== image);
      showImages();
      byId('file').focus();
    });
    item.append(picture(image), remove);
    return item;
  }));
}

byId('file').addEventListener('change', () => {
  addFiles([...byId('file').files]);
  byId('file').value = '';
});
const drop = byId('drop');
for (const name of ['dragover', 'dragleave', 'drop']) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle('over', name === 'dragover');
  });
}
drop.addEventListener('drop', (event) => addFiles([...event.dataTransfer.files]));
document.addEventListener('paste', (event) => addFiles([...event.clipboardData.files]));

function turn(who, pictures = []) {
  const item = element('li', 'turn');
  const answer = element('div', 'answer');
  item.append(element('h2', '', who), ...pictures.map(picture), answer);
  byId('turns').append(item);
  return answer;
}

/** The data of each server-sent event of a response. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) {
      return;
    }
    held += value;
    const blocks = held.split('\n\n');
    held = blocks.pop();
    for (const block of blocks) {
      if (block.startsWith('data: ')) {
        yield block.slice(6);
      }
    }
  }
}

/** An answer on the page: final text, and behind it the block that is being denoised. */
class Answer {
  constructor(place) {
    this.place = place;
    this.text = '';
    this.block = element('span', 'block');
    this.block.setAttribute('aria-hidden', 'true'); // the final text is read out, not its drafts
    place.append(this.block);
    this.begin = performance.now();
    this.steps = 0;
    this.positions = new Set();
  }

  draft(diffusion) {
    this.steps++;
    this.block.replaceChildren(...diffusion.tokens.map((token, i) => {
      if (token === null) {
        return element('span', 'cell mask', MASK);
      }
      const cell = element('span', 'cell draft', token.text || '∎');
      const position = diffusion.position + i;
      cell.classList.toggle('fresh', !this.positions.has(position));
      this.positions.add(position);
      cell.style.opacity = 0.3 + 0.7 * token.confidence;
      cell.title = `confidence ${token.confidence.toFixed(3)}`;
      return cell;
    }));
    this.numbers(this.positions.size, this.steps);
  }

  settle(text) {
    this.text += text;
    this.block.before(element('span', 'settled', text));
    this.block.replaceChildren();
  }

  numbers(tokens, forwards) {
    const seconds = (performance.now() - this.begin) / 1000;
    byId('speed').textContent = tokens ? (tokens / seconds).toFixed(1) : '–';
    byId('forwards').textContent = tokens ? (forwards / tokens).toFixed(2) : '–';
    byId('tokens').textContent = tokens;
  }
}

function request() {
  const diffusion = {steps: Number(byId('steps').value), stream_drafts: true};
  if (byId('dynamic').checked) {
    diffusion.remasking = 'low_confidence_dynamic';
    diffusion.confidence_threshold = Number(byId('threshold').value);
  }
  return {messages, diffusion, max_tokens: Number(byId('length').value), stream: true, stream_options: {include_usage: true}};
}

async function post(signal) {
  const headers = {'Content-Type': 'application/json'};
  if (byId('key').value) {
    headers.Authorization = `Bearer ${byId('key').value}`;
  }
  const response = await fetch('v1/chat/completions', {method: 'POST', headers, body: JSON.stringify(request()), signal});
  if (!response.ok) {
    throw new Error((await response.json()).error.message);
  }
  return response;
}

async function ask() {
  const question = byId('question').value;
  const shown = images;
  const content = [...shown.map((image) => ({type: 'image_url', image_url: {url: image.url}})), {type: 'text', text: question}];
  const conversation = messages; // a new one may begin before this answer has ended
  conversation.push({role: 'user', content});
  turn('You', shown).textContent = question;
  const answer = new Answer(turn('DiffusionVL'));
  images = [];
  showImages();
  const controller = new AbortController();
  busy(controller);
  let reason = null;
  let forwards = 0;
  try {
    for await (const data of events(await post(controller.signal))) {
      controller.signal.throwIfAborted(); // what has come already is not shown either
      if (data === '[DONE]') {
        break;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) {
        throw new Error(chunk.error.message);
      }
      const choice = chunk.choices[0];
      if (choice?.delta.content) {
        answer.settle(choice.delta.content);
      } else if (choice?.finish_reason) {
        reason = choice.finish_reason;
        forwards = choice.diffusion.forwards;
      } else if (choice?.diffusion) {
        answer.draft(choice.diffusion);
        const pace = Number(byId('pace').value);
        await new Promise((next) => { setTimeout(next, pace); });
      } else if (chunk.usage) {
        answer.numbers(chunk.usage.completion_tokens, forwards);
      }
    }
    say(`Answer finished (${reason}): ${answer.text}`);
  } catch (error) {
    say(error.name === 'AbortError' ? 'Stopped.' : error.message, error.name !== 'AbortError');
  }
  answer.block.remove();
  if (answer.text) {
    conversation.push({role: 'assistant', content: answer.text});
  } else {
    conversation.pop(); // the next question is not asked on top of one without an answer
  }
  busy(null);
}

function busy(controller) {
  running = controller;
  byId('ask').disabled = controller !== null;
  byId('stop').disabled = controller === null;
  byId('turns').setAttribute('aria-busy', controller !== null);
  if (controller) {
    say('The answer is being written.');
  }
}

byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!running) {
    ask();
  }
});
byId('question').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    byId('form').requestSubmit();
  }
});
byId('stop').addEventListener('click', () => running?.abort());
byId('new').addEventListener('click', () => {
  running?.abort();
  messages = [];
  images = [];
  showImages();
  byId('turns').replaceChildren();
  say('');
  byId('question').focus();
});
