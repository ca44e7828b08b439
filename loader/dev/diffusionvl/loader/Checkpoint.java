// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The weights of a model directory under canonical names (see {@link ModelShapes}), whatever their files and naming
 * scheme. What a shard holds is told by its own header, not by the index. Immutable and safe for use by several threads
 * until closed. Quantised weights have no tensor of their own: {@link #format} tells them, {@link #matrix} decodes them.
 */
public final class Checkpoint implements AutoCloseable {
  /** Where a tensor lies. */
  private record Location(Safetensors file, String name) {}

  private static final String WEIGHT = ".weight";

  private final Path modelDir;
  private final List<Safetensors> files;
  private final NamingScheme scheme;
  private final QuantizationConfig quantization; // null: all weights are stored as they are
  private final List<Path> absentFiles;
  private final Set<String> indexed;
  private final Map<String, Location> tensors = new LinkedHashMap<>();
  private final Map<String, TensorView> made; // in memory, not in a file
  private final List<String> unexpected = new ArrayList<>();

  private Checkpoint(Path modelDir, CheckpointFiles found, List<Safetensors> files, JsonObject config) {
    this.modelDir = modelDir;
    this.quantization = QuantizationConfig.of(config);
    this.files = files;
    this.absentFiles = List.copyOf(found.absent());
    this.indexed = found.index().keySet();
    this.made = Map.of();
    List<String> mainNames = new ArrayList<>();
    for (Safetensors file : files) {
      if (found.files().get(file.file()) == NamingScheme.Part.MAIN) {
        mainNames.addAll(file.names());
      }
    }
    this.scheme = NamingScheme.detect(mainNames, found.separate(), config.string("model_type", ""));
    for (Safetensors file : files) {
      addTensors(file, found);
    }
    if (tensors.isEmpty() && !unexpected.isEmpty()) {
      throw BadInputException.of(files.getFirst().file(), unexpected.getFirst(),
          "neither this name nor another is one of a DiffusionVL or Qwen2.5-VL checkpoint");
    }
  }

  private Checkpoint(Checkpoint language, Checkpoint tower, Map<String, TensorView> made) {
    this.modelDir = language.modelDir;
    this.files = Stream.of(language, tower).flatMap(part -> part.files.stream()).toList();
    this.scheme = NamingScheme.DIFFUSION_VL_SIGLIP;
    this.absentFiles = List.of();
    this.indexed = Set.of();
    this.quantization = language.quantization != null ? language.quantization : tower.quantization;
    this.made = made;
    tensors.putAll(language.tensors);
    tensors.putAll(tower.tensors);
  }

  /**
   * A language model, a SigLIP tower and new tensors as one checkpoint of their family, of the tensors that a trained one has. Closing it
   * closes both.
   *
   * @param made what neither of the two has, by canonical name
   * @throws BadInputException naming the folder and the tensor that is missing or wrong in it
   */
  static Checkpoint join(Checkpoint language, Checkpoint tower, Map<String, TensorView> made, ModelConfig config) {
    CheckpointCheck.require(language, config, name -> !name.startsWith("siglip.") && !made.containsKey(name));
    CheckpointCheck.require(tower, config, name -> name.startsWith("siglip."));
    Checkpoint joined = new Checkpoint(language, tower, made);
    joined.tensors.keySet().retainAll(ModelShapes.of(config).keySet());
    return joined;
  }

  /**
   * Maps all weight files of a directory. Reading a tensor reads its pages; opening reads headers only.
   *
   * @throws BadInputException naming the file (and tensor) that is missing or malformed
   */
  public static Checkpoint open(Path modelDir) {
    Checkpoint checkpoint = open(modelDir, true);
    if (!checkpoint.absentFiles.isEmpty()) {
      checkpoint.close();
      throw BadInputException.of(checkpoint.absentFiles.getFirst(), "no such file, though the index lists it");
    }
    return checkpoint;
  }

  /** Reads headers only: for inspection. Shards that the index lists and the directory lacks are left out. */
  public static Checkpoint openHeaders(Path modelDir) {
    return open(modelDir, false);
  }

  private static Checkpoint open(Path modelDir, boolean map) {
    CheckpointFiles found = CheckpointFiles.find(modelDir);
    List<Safetensors> files = new ArrayList<>();
    try {
      for (Path file : found.files().keySet()) {
        files.add(map ? Safetensors.open(file) : Safetensors.openHeader(file));
      }
      return new Checkpoint(modelDir, found, files, Json.readObject(modelDir.resolve("config.json"), ConfigReader.MAX_FILE_BYTES));
    } catch (RuntimeException e) {
      files.forEach(Safetensors::close);
      throw e;
    }
  }

  private void addTensors(Safetensors file, CheckpointFiles found) {
    NamingScheme.Part part = found.files().get(file.file());
    for (String name : file.names()) {
      if (scheme.isOtherModel(name)) {
        continue;
      }
      String canonical = scheme.canonical(name, part);
      if (canonical == null) {
        unexpected.add(name);
        continue;
      }
      Location before = tensors.get(canonical);
      String claimed = found.index().get(name);
      if (before != null && claimed == null) {
        throw BadInputException.of(file.file(), name, "is in " + before.file().file().getFileName() + " too");
      }
      // of two copies the one that the index points at counts
      if (before == null || file.file().getFileName().toString().equals(claimed)) {
        tensors.put(canonical, new Location(file, name));
      }
    }
  }

  /**
   * Checks that the files still have the length they had when they were opened.
   *
   * @throws BadInputException naming one that became shorter: what was read behind its end is not what it held
   */
  public void requireWhole() {
    files.forEach(Safetensors::requireWhole);
  }

  /** The naming scheme of the files. */
  public NamingScheme scheme() {
    return scheme;
  }

  /** Whether there are weights of that name, quantised or not. */
  public boolean contains(String canonicalName) {
    return tensors.containsKey(canonicalName) || made.containsKey(canonicalName) || format(canonicalName) != null;
  }

  /** What of the quantization configuration is not followed, though answers do not need it; a line each. */
  List<String> remarks() {
    return quantization == null ? List.of() : quantization.remarks();
  }

  /** Whether its configuration says that some weights are quantised. */
  public boolean quantized() {
    return quantization != null;
  }

  /**
   * Refuses a checkpoint whose weights are quantised.
   *
   * @param why in words that follow "quantised weights "
   * @throws BadInputException if its configuration says that some are
   */
  public void requireUnquantized(String why) {
    if (quantization != null) {
      throw BadInputException.of(modelDir.resolve("config.json"), "quantization_config", "quantised weights " + why);
    }
  }

  /** How the weights of a name are stored, or null: as they are, or not at all. */
  public WeightFormat format(String canonicalName) {
    if (quantization == null || !canonicalName.endsWith(WEIGHT)) {
      return null;
    }
    WeightFormat format = quantization.formatOf(layer(scheme.nameInFile(canonicalName)));
    TensorView first = format == null ? null : part(canonicalName, format.parts().getFirst().suffix());
    return first == null || first.type().isWeight() ? null : format;
  }

  /** Canonical names of the tensors that are there in place of quantised weights. */
  Set<String> parts(String canonicalName) {
    Set<String> names = new LinkedHashSet<>();
    for (WeightFormat.Part part : format(canonicalName).parts()) {
      if (part(canonicalName, part.suffix()) != null) {
        names.add(layer(canonicalName) + "." + part.suffix());
      }
    }
    return names;
  }

  /** What quantised weights take in the files. */
  public long storedBytes(String canonicalName) {
    return parts(canonicalName).stream().mapToLong(part -> tensor(part).byteSize()).sum();
  }

  /**
   * Quantised weights; valid until this checkpoint is closed.
   *
   * @throws BadInputException naming the tensor that is missing, misshaped, or holds what is no number
   */
  public QuantizedMatrix matrix(String canonicalName) {
    WeightFormat format = format(canonicalName);
    Path file = fileOf(parts(canonicalName).iterator().next());
    return format.matrix(StoredMatrix.of(file, layer(scheme.nameInFile(canonicalName)), format, suffix -> part(canonicalName, suffix)));
  }

  private static String layer(String weight) {
    return weight.substring(0, weight.length() - WEIGHT.length());
  }

  /** Whether the files hold a tensor, or their index says that they should. */
  boolean lists(String canonicalName) {
    return contains(canonicalName) || indexed.contains(scheme.nameInFile(canonicalName));
  }

  /** Canonical names of all tensors that the scheme knows, in file order. */
  public Set<String> names() {
    Set<String> names = new LinkedHashSet<>(tensors.keySet());
    names.addAll(made.keySet());
    return Collections.unmodifiableSet(names);
  }

  /** Names, as in the files, that the scheme does not know. */
  public List<String> unknownNames() {
    return Collections.unmodifiableList(unexpected);
  }

  List<Path> absentFiles() {
    return absentFiles;
  }

  /**
   * @return the tensor; its data lives until this checkpoint is closed
   * @throws BadInputException if there is none of that name
   */
  public TensorView tensor(String canonicalName) {
    if (made.containsKey(canonicalName)) {
      return made.get(canonicalName);
    }
    Location location = tensors.get(canonicalName);
    if (location == null) {
      throw BadInputException.of(modelDir, scheme.nameInFile(canonicalName), "missing from the weights");
    }
    return location.file().tensor(location.name());
  }

  /**
   * Checks that the weights are of the configuration's family.
   *
   * @throws BadInputException if they have the tower of the other one
   */
  void requireFamily(ModelConfig config) {
    boolean languageAlone = config.family() == ModelFamily.QWEN_TEXT; // has no names of its own
    if (languageAlone ? scheme.family() != ModelFamily.QWEN_VL : scheme.family() != config.family()) {
      String tower = scheme.family() == ModelFamily.QWEN_SIGLIP ? "SigLIP" : "Qwen2.5-VL";
      throw BadInputException.of(modelDir, "config.json", "is of the family " + config.family().id() + ", but the weights have the "
          + tower + " vision tower of " + scheme.family().id() + " (naming scheme " + scheme.letter() + ")");
    }
  }

  /**
   * Checks that every tensor which the configuration calls for is there, with its shape and a type of weights.
   *
   * @throws BadInputException naming the first that is missing or wrong, and how many more are
   */
  public void requireComplete(ModelConfig config) {
    requireFamily(config);
    CheckpointCheck.require(this, config, name -> true);
  }

  /** The file that a tensor is in; the folder, if there is none. */
  Path fileOf(String canonicalName) {
    Location location = tensors.get(canonicalName);
    return location == null ? modelDir : location.file().file();
  }

  /** A part of quantised weights; null if it is not there. */
  TensorView part(String canonicalName, String suffix) {
    Location place = tensors.get(layer(canonicalName) + "." + suffix);
    return place == null ? null : place.file().tensor(place.name());
  }

  /** Unmaps all files. Idempotent. */
  @Override
  public void close() {
    files.forEach(Safetensors::close);
  }
}
