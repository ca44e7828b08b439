// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.train.ConversationData;
import dev.diffusionvl.train.ConversationRecord;
import dev.diffusionvl.train.RowEncoder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** Questions from conversations in the LLaVA format: the last answer of each is the recorded one, and what comes before it is asked. */
record Conversations(List<Question> all) implements Questions {
  Conversations {
    all = List.copyOf(all);
  }

  /** Whether a file is read as conversations: one whose name does not end as that of rows, or whose first row is one. */
  static boolean are(Path data) {
    if (Rows.Kind.of(data) == Rows.Kind.JSON_LINES && Files.isRegularFile(data)) {
      try (Rows rows = Rows.open(data, data, 0)) {
        DataRow first = rows.next();
        return first != null && first.fields().containsKey("conversations");
      }
    }
    return Rows.Kind.of(data) == null && !Files.isDirectory(data);
  }

  /**
   * @param files of the model that will be asked
   * @param imagesOrNull folder that the records' image names are relative to; null: the data's
   * @throws dev.diffusionvl.loader.BadInputException naming the first record that is bad
   */
  static Conversations read(ModelFiles files, Path data, Path imagesOrNull, Selection selection) {
    Path images = Picture.folder(data, imagesOrNull);
    List<Question> questions = new ArrayList<>();
    UniqueIds ids = new UniqueIds();
    RowEncoder encoder = new RowEncoder(files.config(), files.tokenizer(), RowEncoder.Options.of(files.config(), images));
    try (ConversationData conversations = ConversationData.open(data, encoder)) {
      for (int i = 0; i < conversations.size() && !selection.ends(i); i++) {
        Question question = ids.named(question(conversations.record(i), images));
        if (selection.has(i)) {
          questions.add(question);
        }
      }
    }
    return new Conversations(questions);
  }

  private static Question question(ConversationRecord record, Path images) {
    List<Turn> turns = record.turns();
    List<Picture> pictures = new ArrayList<>();
    record.images().forEach(name -> pictures.add(new Picture.InFile(images, name)));
    return new Question(record.id(), turns.subList(0, turns.size() - 1), pictures, List.of(turns.getLast().text()), null, null, List.of());
  }

  @Override
  public void forEach(Consumer<Question> action) {
    all.forEach(action);
  }
}
