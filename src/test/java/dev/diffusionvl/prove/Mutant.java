// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A bug put into a kernel on purpose: one text of the shipped source replaced by another. Kept in {@code cuda/proof/mutants/OP.mutants}
 * (docs/proving-kernels.md), never in the source itself.
 *
 * @param op the kernel's file in cuda/, without its ending
 * @param name unique within the kernel
 * @param bugClass what kind of mistake it is
 * @param file the file that is changed: the kernel's or a header's of cuda/include
 * @param original must occur exactly once in that file
 * @param replacement what stands there instead
 * @param finding what the emulated device must say, or null when a wrong result will do
 * @param place the first line of the changed file with this text is where the finding must be; null without a finding
 */
record Mutant(String op, String name, String bugClass, String file, String original, String replacement, String finding, String place) {
  static final Path CUDA = Path.of("cuda");

  /** All mutants of a project, by kernel. */
  static List<Mutant> all(Path cuda) {
    try (Stream<Path> files = Files.walk(cuda.resolve("proof/mutants"))) {
      List<Mutant> mutants = new ArrayList<>();
      for (Path file : files.filter(f -> f.toString().endsWith(".mutants")).sorted().toList()) {
        String op = cuda.resolve("proof/mutants").relativize(file).toString().replace(".mutants", "");
        mutants.addAll(parse(op, Files.readAllLines(file)));
      }
      return mutants;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The entries of one file. */
  static List<Mutant> parse(String op, List<String> lines) {
    List<Mutant> mutants = new ArrayList<>();
    Set<String> names = new HashSet<>();
    for (int i = 0; i < lines.size(); ) {
      String head = lines.get(i++);
      if (head.isBlank() || head.startsWith("#")) {
        continue;
      }
      String where = op + ".mutants:" + i + ": ";
      String[] parts = head.startsWith("@ ") ? head.substring(2).split(": ", 2) : new String[0];
      if (parts.length != 2 || !parts[0].matches("[a-z0-9_]+")) {
        throw new IllegalArgumentException(where + "expected '@ name: bug class[, in FILE]', found '" + head + "'");
      }
      String[] kind = parts[1].split(", in ", 2);
      String file = kind.length == 2 ? kind[1] : Path.of(op).getFileName() + ".cu";
      List<String> original = new ArrayList<>();
      List<String> replacement = new ArrayList<>();
      String[] finding = {null, null};
      for (; i < lines.size() && !lines.get(i).isEmpty(); i++) {
        String line = lines.get(i);
        String text = line.length() > 2 ? line.substring(2) : "";
        switch (line.charAt(0)) {
          case '-' -> original.add(text);
          case '+' -> replacement.add(text);
          case '!' -> finding = text.split(" @ ", 2);
          default -> throw new IllegalArgumentException(op + ".mutants:" + (i + 1) + ": a line starts with -, + or !, not '" + line + "'");
        }
      }
      if (original.isEmpty() || finding.length != 2 || !names.add(parts[0])) {
        throw new IllegalArgumentException(where + parts[0] + " has no '-' line, a '!' line without ' @ ', or the name of another entry");
      }
      mutants.add(new Mutant(op, parts[0], kind[0], file, String.join("\n", original), String.join("\n", replacement), finding[0],
          finding[1]));
    }
    return mutants;
  }

  /** {@code op.name}, the name of its build folder. */
  String id() {
    return op.replace('/', '.') + "." + name;
  }

  private Path kernel(Path cuda) {
    return cuda.resolve(op + ".cu");
  }

  private Path source(Path cuda) {
    Path beside = kernel(cuda).resolveSibling(file);
    return Files.exists(beside) ? beside : cuda.resolve("include").resolve(file);
  }

  /**
   * The changed text of {@link #file}.
   *
   * @throws IllegalArgumentException when the original text does not occur exactly once: the mutant is stale
   */
  String mutated(Path cuda) throws IOException {
    String text = Files.readString(source(cuda));
    int at = text.indexOf(original);
    if (at < 0 || text.indexOf(original, at + 1) >= 0) {
      throw new IllegalArgumentException("stale mutant " + id() + ": its text occurs " + (at < 0 ? "nowhere" : "more than once") + " in "
          + source(cuda) + ":\n" + original);
    }
    return text.substring(0, at) + replacement + text.substring(at + original.length());
  }

  /** Writes the changed kernel with the headers that it needs; returns the kernel's file. */
  Path write(Path cuda, Path folder) throws IOException {
    String changed = mutated(cuda);
    Path target = Files.createDirectories(folder.resolve(id()));
    try (Stream<Path> headers = Files.list(cuda.resolve("include"))) {
      for (Path header : headers.toList()) {
        put(target.resolve(header.getFileName()), Files.readString(header));
      }
    }
    Path copy = target.resolve(kernel(cuda).getFileName());
    put(copy, Files.readString(kernel(cuda)));
    put(target.resolve(file), changed);
    return copy;
  }

  /** Leaves a file that is right already alone, so that make does too. */
  private static void put(Path file, String text) throws IOException {
    if (!Files.exists(file) || !Files.readString(file).equals(text)) {
      Files.writeString(file, text);
    }
  }

  /** {@code FILE:LINE} that the finding must name: the first place in the changed file. */
  String expectedPlace(Path cuda) throws IOException {
    String text = mutated(cuda);
    int at = text.indexOf(place);
    if (at < 0) {
      throw new IllegalArgumentException("mutant " + id() + ": not in " + file + ": " + place);
    }
    return file + ":" + (1 + text.substring(0, at).chars().filter(c -> c == '\n').count());
  }

  @Override
  public String toString() {
    return id() + " (" + bugClass + ")";
  }
}
