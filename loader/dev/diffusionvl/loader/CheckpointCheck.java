// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/** Compares the tensors of a checkpoint with those that a configuration calls for. */
final class CheckpointCheck {
  private CheckpointCheck() {}

  /**
   * @param wanted canonical names of the tensors to look at
   * @throws BadInputException naming the first that is missing or wrong, and how many more are
   */
  static void require(Checkpoint checkpoint, ModelConfig config, Predicate<String> wanted) {
    List<String> problems = new ArrayList<>();
    Path firstFile = null;
    for (Map.Entry<String, long[]> expected : ModelShapes.of(config).entrySet()) {
      String name = expected.getKey();
      String problem = wanted.test(name) ? problem(checkpoint, name, expected.getValue()) : null;
      if (problem != null) {
        firstFile = firstFile == null ? checkpoint.fileOf(name) : firstFile;
        problems.add(checkpoint.scheme().nameInFile(name) + ": " + problem);
      }
    }
    if (!problems.isEmpty()) {
      int others = problems.size() - 1;
      String more = others == 0 ? "" : " (and " + others + " more tensors missing or misshaped)";
      throw BadInputException.of(firstFile, problems.getFirst() + more);
    }
  }

  /** Names, as in the files, of tensors that the configuration does not call for; known leftovers apart. */
  static List<String> unexpected(Checkpoint checkpoint, ModelConfig config) {
    Set<String> expected = ModelShapes.of(config).keySet();
    Set<String> parts = new HashSet<>();
    expected.stream().filter(name -> checkpoint.contains(name) && checkpoint.format(name) != null)
        .forEach(name -> parts.addAll(checkpoint.parts(name)));
    List<String> unexpected = new ArrayList<>(checkpoint.unknownNames());
    for (String canonical : checkpoint.names()) {
      if (!expected.contains(canonical) && !parts.contains(canonical) && !NamingScheme.isKnownLeftover(canonical, config)) {
        unexpected.add(checkpoint.scheme().nameInFile(canonical));
      }
    }
    return unexpected;
  }

  /** What is left out of the files' tensors, as a line for the user; none if nothing is. */
  static List<String> remarks(Checkpoint checkpoint, ModelConfig config, Path modelDir) {
    List<String> unexpected = unexpected(checkpoint, config);
    return unexpected.isEmpty() ? List.of() : List.of(modelDir + ": " + unexpected.size()
        + " tensors are left out, which config.json does not call for; the first is " + unexpected.getFirst());
  }

  /** What is wrong with a tensor, or null. */
  static String problem(Checkpoint checkpoint, String canonicalName, long[] expectedShape) {
    if (!checkpoint.contains(canonicalName)) {
      return "missing from the weights";
    }
    WeightFormat format = checkpoint.format(canonicalName);
    if (format != null) {
      return problem(checkpoint, canonicalName, format, expectedShape);
    }
    TensorView view = checkpoint.tensor(canonicalName);
    if (!Arrays.equals(view.shape(), expectedShape)) {
      return "shape " + Arrays.toString(view.shape()) + ", the configuration needs " + Arrays.toString(expectedShape);
    }
    return view.type().isWeight() ? null : "dtype " + view.type() + ", weights are F32, F16 or BF16";
  }

  private static String problem(Checkpoint checkpoint, String canonicalName, WeightFormat format, long[] expectedShape) {
    if (expectedShape.length != 2) {
      return "stored as " + format.describe() + ", which is for matrices; the configuration needs " + Arrays.toString(expectedShape);
    }
    for (WeightFormat.Part part : format.parts(expectedShape[0], expectedShape[1])) {
      TensorView stored = checkpoint.part(canonicalName, part.suffix());
      String problem = stored != null ? part.problem(stored) : part.required() ? "missing" : null;
      if (problem != null) {
        return part.suffix() + ": " + problem;
      }
    }
    return null;
  }
}
