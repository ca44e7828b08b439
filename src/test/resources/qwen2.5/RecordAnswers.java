// SPDX-License-Identifier: Apache-2.0
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Supplier;
import java.util.zip.GZIPOutputStream;

/**
 * Writes answers.jsonl.gz, by an implementation that is not ours: strings that try the corners of a tokenizer (scripts,
 * accents, emoji, code, whitespace, special tokens, anything), their ids, and the text the ids decode to; then random
 * ids with their text. Not part of the build. Run with ai.djl.huggingface:tokenizers on the class path and
 * RUST_FLAVOR=cpu: {@code java RecordAnswers.java TOKENIZER_JSON ANSWERS_JSONL_GZ}
 */
public final class RecordAnswers {
  private static final int STRINGS = 10_000;
  private static final int ID_LISTS = 1_000;
  private static final int IDS = 152_064;
  /** The library's table of combining classes ends with Unicode 9, so it orders later marks otherwise than NFC. */
  private static final int MARKS_END = 0x7FD;

  private static final String[] WORDS = {
    "the", "Image", "square", "DiffusionVL", "naïve", "Straße", "Ελλάδα", "привет", "שלום", "مرحبا", "नमस्ते",
    "ประเทศไทย", "日本語",
    "中华人民共和国", "한국어", "tiếng", "Việt", "ﬁne", "İstanbul", "ǅ", "ª", "㎏", "Ⅻ"
  };
  private static final String[] CONTRACTIONS = {
    "'s", "'S", "'t", "'re", "'RE", "'vE", "'m", "'ll", "'lL", "'d", "'ſ", "’s", "'x", "'", "''s"
  };
  private static final String[] SPACES = {
    " ", "  ", "    ", "\t", "\n", "\r", "\r\n", "\n\n", "\u000B", "\f", "\u0085", "\u00A0", "\u1680", "\u2003",
    "\u2028", "\u2029",
    "\u202F", "\u205F", "\u3000", "\u200B", "\u180E", "\uFEFF", "\u001C", " \n", "\n ", "\t "
  };
  private static final String[] EMOJI = {
    "😀", "👩‍👩‍👧", "🏳️‍🌈", "👍🏽", "🇩🇪", "1️⃣", "❤️", "🧑🏿‍🚀", "☃", "©", "\uFE0F", "\u200D"
  };
  private static final String[] SPECIALS = {
    "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|image_pad|>", "<|vision_start|>", "<tool_call>",
    "</tool_call>", "<|fim_prefix|>",
    "<|im_end", "|im_end|>", "<|IM_END|>", "<<|im_end|>>", "<|im_end|>\u0338", "<image>", "<|mask|>"
  };
  private static final String[] CODE = {
    "if (x >= 10) {\n", "    return f(a, b);\n", "}\n", "\tfor i in range(10):\n", "// comment\r\n",
    "x_1 = {'a': [1, 2.5e-3]}", "!==", "&&", "->",
    "\\n", "\"str\"", "0xFF", "#include <stdio.h>\n", "SELECT * FROM t;", "<div class=\"a\">", "$$\\frac{1}{2}$$"
  };
  private static final String[] NUMBERS = {
    "0", "42", "1234567890", "3.14", "½", "²", "٣٤", "१२", "Ⅳ", "①", "𝟘", "一", "1,000,000"
  };
  private static final String[] MARKS = {
    "\u0301", "\u0323", "\u0338", "\u0308", "\u0327", "\u0345", "\u3099", "\u0F71", "\u1161", "\u11A8", "\u093C",
    "\u05B4", "\u0334"
  };
  private static final String[] ODD = {
    "\u0000", "\u0001", "\u007F", "\uFFFD", "\uE000", "\uFFFF", "\uDBFF\uDFFF", "\u00AD", "\u212B", "\u2126", "豈",
    "\u0340"
  };

  private final Random random;
  private final List<Supplier<String>> kinds = List.of(
      () -> pick(WORDS), () -> pick(CONTRACTIONS), () -> pick(SPACES), () -> pick(EMOJI), () -> pick(SPECIALS),
      () -> pick(CODE), () -> pick(NUMBERS), () -> pick(MARKS), () -> pick(ODD), this::letters, this::anyCharacters,
      this::hangul, this::decomposed);

  private RecordAnswers(long seed) {
    random = new Random(seed);
  }

  public static void main(String[] args) throws IOException {
    RecordAnswers strings = new RecordAnswers(2025);
    try (HuggingFaceTokenizer tokenizer =
            HuggingFaceTokenizer.newInstance(Path.of(args[0]), Map.of("addSpecialTokens", "false"));
        Writer out = new OutputStreamWriter(
            new GZIPOutputStream(Files.newOutputStream(Path.of(args[1]))), StandardCharsets.UTF_8)) {
      for (int i = 0; i < STRINGS; i++) {
        String text = strings.next();
        long[] ids = tokenizer.encode(text).getIds();
        write(out, quoted(text), ids, tokenizer.decode(ids, true));
      }
      for (int i = 0; i < ID_LISTS; i++) {
        long[] ids = strings.random.longs(strings.random.nextInt(1, 20), 0, IDS).toArray();
        write(out, "null", ids, tokenizer.decode(ids, true));
      }
    }
  }

  /** One line: {"text": what was encoded or null, "ids": [...], "decoded": "..."}. */
  private static void write(Writer out, String text, long[] ids, String decoded) throws IOException {
    out.write("{\"text\":" + text + ",\"ids\":" + Arrays.toString(ids) + ",\"decoded\":" + quoted(decoded) + "}\n");
  }

  private static String quoted(String text) {
    StringBuilder json = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c < 0x20 || c == '"' || c == '\\' || Character.isSurrogate(c) || c >= 0xFFFE) {
        json.append(String.format("\\u%04x", (int) c));
      } else {
        json.append(c);
      }
    }
    return json.append('"').toString();
  }

  /** Half of them of one kind of part mostly, the others mixed. */
  private String next() {
    Supplier<String> main = pick(kinds);
    boolean mixed = random.nextBoolean();
    StringBuilder text = new StringBuilder();
    for (int parts = random.nextInt(1, 16); parts > 0; parts--) {
      text.append(mixed || random.nextInt(5) == 0 ? pick(kinds).get() : main.get());
      if (random.nextInt(3) == 0) {
        text.append(' ');
      }
    }
    return text.toString();
  }

  private String letters() {
    StringBuilder word = new StringBuilder();
    for (int n = random.nextInt(1, 12); n > 0; n--) {
      word.append((char) ((random.nextInt(6) == 0 ? 'A' : 'a') + random.nextInt(26)));
    }
    return word.toString();
  }

  private String anyCharacters() {
    StringBuilder text = new StringBuilder();
    for (int n = random.nextInt(1, 6); n > 0; n--) {
      text.appendCodePoint(anyCharacter());
    }
    return text.toString();
  }

  /** Any assigned character but surrogates, from each range of planes equally often. */
  private int anyCharacter() {
    int[] ends = {0x80, 0x250, 0x3000, 0xFFFF, 0x1FFFF, 0x323AF};
    while (true) {
      int c = random.nextInt(ends[random.nextInt(ends.length)]);
      int type = Character.getType(c);
      boolean mark = type == Character.NON_SPACING_MARK || type == Character.COMBINING_SPACING_MARK;
      boolean character = type != Character.UNASSIGNED && type != Character.SURROGATE;
      if (character && (!mark || c < MARKS_END)) {
        return c;
      }
    }
  }

  /** Conjoining letters, which NFC makes syllables of. */
  private String hangul() {
    return "" + (char) (0x1100 + random.nextInt(19)) + (char) (0x1161 + random.nextInt(21))
        + (random.nextBoolean() ? (char) (0x11A8 + random.nextInt(27)) : "");
  }

  private String decomposed() {
    return Normalizer.normalize(pick(WORDS) + (char) random.nextInt(0xC0, 0x250), Normalizer.Form.NFD);
  }

  private <T> T pick(List<T> values) {
    return values.get(random.nextInt(values.size()));
  }

  private String pick(String[] values) {
    return values[random.nextInt(values.length)];
  }
}
