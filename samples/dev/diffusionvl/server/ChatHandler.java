// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Engine;
import dev.diffusionvl.model.EngineOptions;
import dev.diffusionvl.model.Generation;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.eclipse.jetty.io.EofException;

/** Answers requests for chat completions, each on the thread that calls. */
final class ChatHandler {
  private static final long POLL_MILLIS = 100; // how soon a client that goes away is noticed
  private static final long COMMENT_MILLIS = 10_000;

  private final DiffusionVl model;
  private final Engine engine;
  private final ServerOptions options;
  private final ChatRequestReader reader;
  private final Metrics metrics;

  ChatHandler(DiffusionVl model, Engine engine, ServerOptions options, ChatRequestReader reader, Metrics metrics) {
    this.model = model;
    this.engine = engine;
    this.options = options;
    this.reader = reader;
    this.metrics = metrics;
  }

  /** The client is gone, and with it whoever could be told. */
  static final class Abandoned extends EofException { // which Jetty does not log
    Abandoned() {
      super("the client closed its connection");
    }
  }

  void handle(Exchange exchange, Budget.Lease lease) throws IOException, InterruptedException {
    ChatRequest chat = read(exchange, lease);
    try (Work work = new Work(exchange, chat)) {
      work.submit();
      if (chat.stream()) {
        work.stream();
      } else {
        work.collect();
      }
    }
  }

  /** Only the images of the request stay in memory. */
  private ChatRequest read(Exchange exchange, Budget.Lease lease) throws IOException {
    byte[] body = exchange.body(options.limits(), lease);
    ChatRequest chat = reader.read(body, lease);
    lease.giveBack((long) Exchange.BODY_COST * body.length);
    return chat;
  }

  /** The answers of one request; closing cancels what is not finished. */
  private final class Work implements AutoCloseable {
    private final Exchange exchange;
    private final ChatRequest chat;
    private final ChatJson json;
    private final BlockingQueue<Answer.Event> events = new LinkedBlockingQueue<>(); // bounded by the answers' lengths
    private final List<Answer> answers = new ArrayList<>();
    private final List<Generation> generations = new ArrayList<>();
    private final Metrics.Watch watch;

    Work(Exchange exchange, ChatRequest chat) {
      this.exchange = exchange;
      this.chat = chat;
      json = new ChatJson(options.modelName(), chat);
      watch = metrics.watch(chat, exchange.begun());
    }

    void submit() {
      EngineOptions.Service service = new EngineOptions.Service(options.limits().request(), 0);
      for (int i = 0; i < chat.choices(); i++) {
        Answer answer = new Answer(i, chat, model.tokenizer(), id -> chat.options().decoding().ends(model.config(), id),
            model.config().maskTokenId(), events);
        GenerationOptions drawn = chat.options().withSeed(chat.options().sampling().seed() + i);
        Generation generation = engine.submit(chat.request(), drawn, answer, service);
        answers.add(answer);
        generations.add(generation);
        generation.result().whenComplete(answer::end);
      }
    }

    void stream() throws IOException, InterruptedException {
      exchange.stream();
      for (Answer answer : answers) {
        exchange.event(json.roleChunk(answer.index()));
      }
      List<StringBuilder> held = new ArrayList<>(); // what may be a call, which clients want whole
      answers.forEach(answer -> held.add(new StringBuilder()));
      for (int open = answers.size(); open > 0; ) {
        switch (next()) {
          case Answer.Text text -> {
            StringBuilder own = held.get(text.answer().index());
            if (chat.calls() && (!own.isEmpty() || text.answer().beginsWithBrace())) {
              own.append(text.text());
            } else {
              exchange.event(json.textChunk(text));
            }
          }
          case Answer.Draft draft -> exchange.event(json.draftChunk(draft));
          case Answer.End end -> {
            finished(end);
            exchange.event(json.finishChunk(end, held.get(end.answer().index()).toString()));
            open--;
          }
        }
      }
      if (chat.usage()) {
        exchange.event(json.usageChunk(answers));
      }
      exchange.event("[DONE]");
      exchange.endStream();
    }

    void collect() throws IOException, InterruptedException {
      List<StringBuilder> texts = new ArrayList<>();
      List<List<Answer.Token>> tokens = new ArrayList<>();
      for (int i = 0; i < answers.size(); i++) {
        texts.add(new StringBuilder());
        tokens.add(new ArrayList<>());
      }
      List<GenerationResult> results = new ArrayList<>(Collections.nCopies(answers.size(), null));
      for (int open = answers.size(); open > 0; ) {
        Answer.Event event = next();
        int index = event.answer().index();
        switch (event) {
          case Answer.Text text -> {
            texts.get(index).append(text.text());
            tokens.get(index).addAll(text.tokens());
          }
          case Answer.Draft draft -> { } // only streams have them
          case Answer.End end -> {
            finished(end);
            results.set(index, end.result());
            open--;
          }
        }
      }
      exchange.json(200, json.completion(answers, texts.stream().map(StringBuilder::toString).toList(), tokens, results));
    }

    /** The next event; while there is none, looks whether the client is still there. */
    private Answer.Event next() throws IOException, InterruptedException {
      for (long waited = 0; ; waited += POLL_MILLIS) {
        Answer.Event event = events.poll(POLL_MILLIS, TimeUnit.MILLISECONDS);
        if (event instanceof Answer.Text) {
          watch.text();
        }
        if (event != null) {
          return event;
        }
        if (exchange.abandoned()) {
          throw new Abandoned();
        }
        if (exchange.streaming() && waited > 0 && waited % COMMENT_MILLIS == 0) {
          exchange.comment();
        }
      }
    }

    private void finished(Answer.End end) {
      if (end.failure() != null) {
        Throwable failure = end.failure() instanceof CompletionException e && e.getCause() != null ? e.getCause() : end.failure();
        throw failure instanceof RuntimeException e ? e : new IllegalStateException(failure);
      }
      watch.finished(end);
    }

    @Override
    public void close() {
      generations.forEach(Generation::cancel);
    }
  }
}
