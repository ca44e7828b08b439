// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import java.io.IOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** The questions of a task in files as Hugging Face serves them. Immutable. */
final class TaskData implements Questions {
  private static final Set<String> SPLITS = Set.of("train", "test", "dev", "val", "validation");
  private static final int MAX_DEPTH = 8;

  private final EvalTask task;
  private final List<Path> files;
  private final Path images; // null: the folder of each file
  private final Selection selection;

  /**
   * @param data a file, or a folder whose files of the task's subset and split are read
   * @param imagesOrNull folder that names of images are relative to; null: that of the file
   * @throws BadInputException if there is no such file
   */
  TaskData(EvalTask task, Path data, Path imagesOrNull, Selection selection) {
    this.task = task;
    this.selection = selection;
    images = imagesOrNull;
    files = Files.isDirectory(data) ? files(task, data) : List.of(data);
  }

  private static List<Path> files(EvalTask task, Path folder) {
    Path subset = task.subset() == null ? folder : folder.resolve(task.subset());
    try (Stream<Path> walk = Files.walk(Files.isDirectory(subset) ? subset : folder, MAX_DEPTH, FileVisitOption.FOLLOW_LINKS)) {
      List<Path> all = walk.filter(file -> Rows.Kind.of(file) != null && Files.isRegularFile(file)).sorted().toList();
      List<Path> wanted = all.stream().filter(file -> task.split().equals(split(file))).toList();
      List<Path> found = wanted.isEmpty() ? all.stream().filter(file -> split(file) == null).toList() : wanted;
      if (found.isEmpty()) {
        throw BadInputException.of(folder, all.isEmpty() ? "holds no file whose name ends in .parquet, .tsv or .jsonl"
            : "holds no file of the split " + task.split());
      }
      Rows.Kind kind = found.stream().map(Rows.Kind::of).min(Comparator.naturalOrder()).orElseThrow();
      return found.stream().filter(file -> Rows.Kind.of(file) == kind).toList();
    } catch (IOException e) {
      throw InputFiles.failure(folder, e);
    }
  }

  /** The split that a file's name begins with; null: none. */
  private static String split(Path file) {
    String word = file.getFileName().toString().toLowerCase(Locale.ROOT).split("[-._]", 2)[0];
    return SPLITS.contains(word) ? word : null;
  }

  @Override
  public void forEach(Consumer<Question> action) {
    UniqueIds ids = new UniqueIds();
    long number = 0;
    for (Path file : files) {
      try (Rows rows = Rows.open(file, Picture.folder(file, images), number)) {
        for (DataRow row = rows.next(); row != null; row = rows.next(), number++) {
          if (selection.ends(number)) {
            return;
          }
          Question question = ids.named(task.question(row));
          if (selection.has(number)) {
            action.accept(question);
          }
        }
      }
    }
  }
}
