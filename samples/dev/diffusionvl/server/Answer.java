// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.BlockPreview;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationResult;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.function.IntPredicate;

/** One answer of a request: hears what the engine does for it and passes on what its client is to know. */
final class Answer implements GenerationListener {
  /** What a client is to know of an answer. */
  sealed interface Event {
    Answer answer();
  }

  /** Text that is final, with the tokens that begin in it. */
  record Text(Answer answer, String text, List<Token> tokens) implements Event {}

  /** The block that is being denoised, after a step. @param cells tokens, null where a mask is */
  record Draft(Answer answer, int block, int step, int position, List<Token> cells) implements Event {}

  /** The end. @param failure what ended it, or null */
  record End(Answer answer, GenerationResult result, Throwable failure) implements Event {}

  /** A token as it was committed. @param bytes what it decodes to */
  record Token(int id, byte[] bytes, float confidence) {
    String text() {
      return new String(bytes, StandardCharsets.UTF_8);
    }
  }

  /** A token of the final text. @param start its first byte, counted from the text's beginning */
  private record Placed(Token token, long start) {}

  private final int index;
  private final ChatRequest chat;
  private final Tokenizer tokenizer;
  private final IntPredicate ends;
  private final int maskId;
  private final BlockingQueue<Event> events;
  private final StopStrings stops;
  private final TreeMap<Integer, Token> committed = new TreeMap<>(); // by position: tokens that no text has come for yet
  private final Deque<Placed> placed = new ArrayDeque<>(); // tokens whose text is held back
  private long bytesPlaced;
  private long bytesSent;
  private int tokens;
  private volatile boolean beginsWithBrace;
  private boolean ended; // an end-of-text token was met

  Answer(int index, ChatRequest chat, Tokenizer tokenizer, IntPredicate ends, int maskId, BlockingQueue<Event> events) {
    this.index = index;
    this.chat = chat;
    this.tokenizer = tokenizer;
    this.ends = ends;
    this.maskId = maskId;
    this.events = events;
    stops = new StopStrings(chat.stops());
  }

  int index() {
    return index;
  }

  @Override
  public boolean isCancelled() {
    return stops.found();
  }

  @Override
  public boolean isLive() {
    return chat.drafts();
  }

  @Override
  public void onStep(int block, int step, List<Commit> commits) {
    for (Commit commit : commits) {
      committed.put(commit.position(), new Token(commit.token(), tokenizer.bytes(commit.token()), commit.confidence()));
    }
  }

  @Override
  public void onPreview(BlockPreview preview) {
    if (chat.drafts()) {
      List<Token> cells = new ArrayList<>();
      int[] ids = preview.tokenIds();
      for (int i = 0; i < ids.length; i++) {
        cells.add(ids[i] == maskId ? null : committed.get(preview.position() + i));
      }
      events.add(new Draft(this, preview.block(), preview.step(), preview.position(), cells));
    }
  }

  @Override
  public void onText(String text) {
    place();
    String sent = stops.accept(text);
    beginsWithBrace |= bytesSent == 0 && sent.startsWith("{");
    bytesSent += utf8(sent);
    if (!sent.isEmpty()) {
      events.add(new Text(this, sent, release(false)));
    }
  }

  /** The engine is done with it. */
  void end(GenerationResult result, Throwable failure) {
    if (failure == null && !stops.found()) {
      place();
      String rest = stops.finish();
      List<Token> last = release(true);
      if (!rest.isEmpty() || !last.isEmpty()) {
        events.add(new Text(this, rest, last));
      }
    }
    events.add(new End(this, result, failure));
  }

  /** Tokens of finished blocks get their place in the text, up to the end of text. */
  private void place() {
    if (stops.found()) {
      return;
    }
    for (Token token : committed.values()) {
      ended |= ends.test(token.id()) || tokens == chat.options().genLength(); // a block may hold more than was asked for
      if (!ended) {
        placed.add(new Placed(token, bytesPlaced));
        bytesPlaced += token.bytes().length;
        tokens++;
      }
    }
    committed.clear();
  }

  private List<Token> release(boolean all) {
    List<Token> released = new ArrayList<>();
    while (!placed.isEmpty() && (all || placed.getFirst().start() < bytesSent)) {
      released.add(placed.removeFirst().token());
    }
    return released;
  }

  private static long utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8).length;
  }

  /** Whether its text, of which some was passed on, begins with a brace. */
  boolean beginsWithBrace() {
    return beginsWithBrace;
  }

  /** Whether one of the request's stop strings ended it. */
  boolean stopped() {
    return stops.found();
  }

  /** Tokens of finished blocks, up to the end of text or the block that holds the stop string. To be asked after the end. */
  int tokens() {
    return tokens;
  }

  /** Why it ended: {@code stop} or {@code length}. */
  String finishReason(GenerationResult result) {
    return stopped() || result.finishReason().equals("eos") ? "stop" : "length";
  }
}
