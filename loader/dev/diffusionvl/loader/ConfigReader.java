// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Reads {@link ModelConfig}. The class defaults of the reference describe other models (docs/model.md, "Configuration"), so what decides
 * the result is required here instead of being filled in.
 */
final class ConfigReader {
  static final int MAX_FILE_BYTES = 4 << 20;
  private static final int DEFAULT_MASK_ID = 151671;
  private static final int DEFAULT_EOS_ID = 151645;
  private static final int DEFAULT_BLOCK_SIZE = 8;
  private static final int DEFAULT_MAX_LENGTH = 8192;

  /** A SigLIP tower and Qwen2.5, trained autoregressively. */
  private static final String LLAVA = "llava_qwen";

  /** What decides the results and may stand at the top level and in text_config. */
  private static final List<String> SAID_TWICE = List.of("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
      "head_dim", "intermediate_size", "rms_norm_eps", "rope_theta", "max_position_embeddings", "bd3lm_block_size", "mask_token_id");

  private static final int MAX_WIDTH = 1 << 20;
  private static final int MAX_LAYERS = 1024;
  private static final int MAX_VOCABULARY = 1 << 24;
  private static final int MAX_POSITIONS = 1 << 24;

  private final Path modelDir;
  private final Path towerDir; // null: the model directory has all
  private ImageSettings image;
  private JsonObject config;
  private JsonObject textConfig;

  ConfigReader(Path modelDir) {
    this(modelDir, null);
  }

  /** @param towerDirOrNull an original SigLIP tower for the language model in {@code modelDir} */
  ConfigReader(Path modelDir, Path towerDirOrNull) {
    this.modelDir = modelDir;
    this.towerDir = towerDirOrNull;
  }

  ModelConfig read() {
    requireDirectory(modelDir);
    config = Json.readObject(modelDir.resolve("config.json"), MAX_FILE_BYTES);
    textConfig = config.object("text_config");
    String modelType = config.string("model_type", "");
    requireKnown(modelType);

    TextConfig text = text();
    JsonObject visionObject = visionObject();
    if (towerDir != null && (visionObject != null || modelType.startsWith("diffusionvl"))) {
      throw BadInputException.of(modelDir, "has a vision tower of its own; another is for a language model without one");
    }
    if (towerDir != null) {
      visionObject = towerObject();
    }
    ModelFamily family = towerDir != null ? ModelFamily.QWEN_SIGLIP : family(modelType, visionObject);
    boolean sigLip = family == ModelFamily.QWEN_SIGLIP;
    if (visionObject == null && family == ModelFamily.QWEN_VL) {
      throw config.error("vision_config", "missing");
    }

    int mask = maskTokenId(modelType, text.vocabSize());
    List<Integer> eos = eosTokenIds(text.vocabSize());
    boolean diffusion = isDiffusion(modelType);
    int block = optional("bd3lm_block_size", DEFAULT_BLOCK_SIZE, 1, text.maxPositionEmbeddings());
    int maxLength = has("tokenizer_model_max_length")
        ? optional("tokenizer_model_max_length", 0, 1, Integer.MAX_VALUE)
        : optional("model_max_length", DEFAULT_MAX_LENGTH, 1, Integer.MAX_VALUE);
    boolean qwenVl = family == ModelFamily.QWEN_VL;
    image = ImageSettings.read(towerDir != null ? towerDir : modelDir, config, visionObject, family);
    return new ModelConfig(modelType, text, qwenVl ? VisionConfigReader.read(visionObject, text) : null, mask, eos, block,
        image.minPixels(), image.maxPixels(), maxLength, image.mean(), image.std(),
        sigLip ? SigLipConfigReader.read(config, visionObject) : null, qwenVl && !diffusion ? mropeSection(text) : List.of(), diffusion);
  }

  /** Defaults that {@link #read} took, where they decide how many rows an image becomes, and which of two values it took; a line each. */
  List<String> remarks() {
    List<String> remarks = new ArrayList<>(image.remarks());
    for (String name : textConfig == null ? List.<String>of() : SAID_TWICE) {
      if (textConfig.fields().get(name) instanceof Number taken && config.fields().get(name) instanceof Number other
          && taken.doubleValue() != other.doubleValue()) {
        remarks.add(config.file() + ": text_config." + name + ": " + taken + " is taken, while " + name + " says " + other);
      }
    }
    return remarks;
  }

  static void requireDirectory(Path modelDir) {
    if (!Files.exists(modelDir)) {
      boolean link = Files.isSymbolicLink(modelDir);
      throw BadInputException.of(modelDir, link ? "a link that leads nowhere" : "no such model directory" + hint(modelDir));
    }
    if (!Files.isDirectory(modelDir)) {
      throw BadInputException.of(modelDir, "not a directory; a model is one with config.json, weights and tokenizer");
    }
  }

  /** A model's name on a hub, or its address, is often given in place of a folder. */
  private static String hint(Path modelDir) {
    boolean name = modelDir.toString().matches("[A-Za-z0-9][\\w.-]*/[A-Za-z0-9][\\w.-]*|(?i:https?|hf):.*");
    return !name ? ""
        : "; models are not fetched: download it (for example with: hf download ORG/NAME --local-dir FOLDER) and give the folder";
  }

  /** Sizes of the tower in a folder of its own: all of its config.json, or the part for images of one that can read texts too. */
  private JsonObject towerObject() {
    requireDirectory(towerDir);
    JsonObject tower = Json.readObject(towerDir.resolve("config.json"), MAX_FILE_BYTES);
    return tower.has("vision_config") ? tower.object("vision_config") : tower;
  }

  private void requireKnown(String modelType) {
    boolean known = modelType.isEmpty() || modelType.startsWith("diffusionvl") || modelType.startsWith("qwen2")
        || modelType.equals(LLAVA);
    if (modelType.startsWith("siglip")) {
      throw config.error("model_type", "'" + modelType + "' is a vision tower alone, for --vision-tower of dvl translate");
    }
    if (!known) {
      throw config.error("model_type", "'" + modelType + "' is neither a DiffusionVL nor a Qwen2.5-VL model");
    }
  }

  /** Where model_type does not tell, a tower's configuration does, and without one the tensors. */
  private ModelFamily family(String modelType, JsonObject visionObject) {
    if (modelType.equals("diffusionvl_qwen") || modelType.equals(LLAVA)) {
      return ModelFamily.QWEN_SIGLIP;
    }
    if (modelType.equals("qwen2") && visionObject == null) {
      return ModelFamily.QWEN_TEXT;
    }
    if (modelType.equals("diffusionvl_qwenvl") || modelType.startsWith("qwen2")) {
      return ModelFamily.QWEN_VL;
    }
    if (visionObject != null) {
      return visionObject.string("model_type", "").startsWith("siglip") ? ModelFamily.QWEN_SIGLIP : ModelFamily.QWEN_VL;
    }
    try (Checkpoint headers = Checkpoint.openHeaders(modelDir)) {
      return headers.scheme().family();
    }
  }

  private boolean isDiffusion(String modelType) {
    return modelType.startsWith("diffusionvl") || config.bool("enable_bd3lm", false) || has("bd3lm_block_size");
  }

  /** The object that holds a field: text_config wins over the top level, null counts as absent. */
  private JsonObject holder(String name) {
    return textConfig != null && textConfig.has(name) ? textConfig : config;
  }

  private boolean has(String name) {
    return holder(name).has(name);
  }

  private BadInputException error(String name, String problem) {
    return holder(name).error(name, problem);
  }

  private int required(String name, int min, int max) {
    return (int) holder(name).integer(name, min, max);
  }

  private int optional(String name, int absent, int min, int max) {
    return has(name) ? required(name, min, max) : absent;
  }

  /** What the configuration says, else an added token {@code <|mask|>}, else the usual row of the embedding table. */
  private int maskTokenId(String modelType, int vocabSize) {
    String name = "mask_token_id";
    if (has(name)) {
      return required(name, 0, vocabSize - 1);
    }
    Path added = modelDir.resolve("added_tokens.json");
    JsonObject tokens = InputFiles.present(added) ? Json.readObject(added, MAX_FILE_BYTES) : null;
    if (tokens != null && tokens.has(ModelConfig.MASK_TOKEN)) {
      return (int) tokens.integer(ModelConfig.MASK_TOKEN, 0, vocabSize - 1);
    }
    if (DEFAULT_MASK_ID < vocabSize) {
      return DEFAULT_MASK_ID;
    }
    if (!isDiffusion(modelType)) {
      return ModelConfig.NO_MASK;
    }
    throw error(name, "missing, and the usual " + DEFAULT_MASK_ID + " is beyond vocab_size " + vocabSize);
  }

  private int tokenId(String name, int absent, int vocabSize) {
    if (has(name)) {
      return required(name, 0, vocabSize - 1);
    }
    if (absent >= vocabSize) {
      throw error(name, "missing, and the usual " + absent + " is beyond vocab_size " + vocabSize);
    }
    return absent;
  }

  /** A number or a list in config.json, then what generation_config.json has more: both say where an answer may end. */
  private List<Integer> eosTokenIds(int vocabSize) {
    String name = "eos_token_id";
    Path generation = modelDir.resolve("generation_config.json");
    JsonObject more = InputFiles.present(generation) ? Json.readObject(generation, MAX_FILE_BYTES) : null;
    Set<Integer> ids = new LinkedHashSet<>();
    for (JsonObject object : more == null ? List.of(holder(name)) : List.of(holder(name), more)) {
      if (object.isList(name)) {
        object.list(name).forEach(id -> ids.add((int) object.integer(name, id, 0, vocabSize - 1)));
        if (object.list(name).isEmpty()) {
          throw object.error(name, "is an empty list");
        }
      } else if (object.has(name)) {
        ids.add((int) object.integer(name, 0, vocabSize - 1));
      }
    }
    return ids.isEmpty() ? List.of(tokenId(name, DEFAULT_EOS_ID, vocabSize)) : List.copyOf(ids);
  }

  /** How the pairs of a head are shared by time, row and column. A base without it has ordinary positions. */
  private List<Integer> mropeSection(TextConfig text) {
    String name = "mrope_section";
    for (String place : List.of("rope_scaling", "rope_parameters")) {
      JsonObject rope = holder(place).object(place);
      if (rope == null || !rope.has(name)) {
        continue;
      }
      List<Integer> pairs = rope.list(name).stream().map(n -> (int) rope.integer(name, n, 0, text.headDim() / 2)).toList();
      if (pairs.size() != 3 || pairs.stream().mapToInt(n -> n).sum() != text.headDim() / 2) {
        throw rope.error(name, "is " + pairs + ", expected three numbers that sum to " + text.headDim() / 2 + ", half a head");
      }
      return pairs;
    }
    return List.of();
  }

  private TextConfig text() {
    int hidden = required("hidden_size", 1, MAX_WIDTH);
    int heads = required("num_attention_heads", 1, MAX_WIDTH);
    int kvHeads = required("num_key_value_heads", 1, heads);
    if (heads % kvHeads != 0) {
      throw error("num_key_value_heads", kvHeads + " does not divide num_attention_heads " + heads);
    }
    if (!has("head_dim") && hidden % heads != 0) {
      throw error("num_attention_heads", heads + " does not divide hidden_size " + hidden);
    }
    int headDim = optional("head_dim", hidden / heads, 2, MAX_WIDTH);
    if (headDim % 2 != 0) {
      throw error("head_dim", headDim + " is odd, rotary embedding needs pairs");
    }
    if (holder("use_sliding_window").bool("use_sliding_window", false)) {
      throw error("use_sliding_window", "sliding-window attention is not supported");
    }
    holder("hidden_act").requireComputed("hidden_act", "silu", "swish");
    if (has("layer_types") && holder("layer_types").list("layer_types").stream().anyMatch(type -> !"full_attention".equals(type))) {
      throw error("layer_types", holder("layer_types").list("layer_types") + ": only full_attention is supported");
    }
    requirePlainRope("rope_scaling");
    requirePlainRope("rope_parameters");
    return new TextConfig(hidden, required("num_hidden_layers", 1, MAX_LAYERS), heads, kvHeads, headDim,
        required("intermediate_size", 1, MAX_WIDTH), required("vocab_size", 1, MAX_VOCABULARY),
        required("max_position_embeddings", 1, MAX_POSITIONS),
        holder("rms_norm_eps").number("rms_norm_eps", 0, 1), ropeTheta(),
        tiesEmbeddings());
  }

  /**
   * What the configuration leaves open the weights decide: without an output matrix the embedding table is the only
   * candidate. A configuration that says false stands, so that a lost matrix is reported instead of replaced.
   */
  private boolean tiesEmbeddings() {
    if (has("tie_word_embeddings")) {
      return holder("tie_word_embeddings").bool("tie_word_embeddings", false);
    }
    try (Checkpoint headers = Checkpoint.openHeaders(modelDir)) {
      return !headers.lists(ModelShapes.LM_HEAD);
    }
  }

  /** Positions that are scaled in a way that is not computed here would give other answers. */
  private void requirePlainRope(String name) {
    JsonObject rope = holder(name).object(name);
    if (rope == null) {
      return;
    }
    for (String field : List.of("rope_type", "type")) {
      String type = rope.string(field, "default");
      // mrope is how a vision model says where its image rows stand; text uses the same angles
      if (!type.equals("default") && !type.equals("mrope")) {
        throw rope.error(field, "'" + type + "' is not supported, only unscaled positions are");
      }
    }
    for (String field : List.of("factor", "partial_rotary_factor")) {
      if (rope.has(field) && rope.number(field, 0, 1e9) != 1) {
        throw rope.error(field, "is not supported, only unscaled positions are");
      }
    }
  }

  /** At the top level or, in files of newer libraries, inside rope_parameters. */
  private double ropeTheta() {
    JsonObject nested = holder("rope_parameters").object("rope_parameters");
    JsonObject object = !has("rope_theta") && nested != null ? nested : holder("rope_theta");
    return object.number("rope_theta", 1, 1e12);
  }

  /** vision_config of config.json, else the separate file that a converted base model has, else null. */
  private JsonObject visionObject() {
    JsonObject inside = config.object("vision_config");
    Path separate = modelDir.resolve("vision_config.json");
    if (inside != null || !InputFiles.present(separate)) {
      return inside;
    }
    JsonObject file = Json.readObject(separate, MAX_FILE_BYTES);
    return file.has("vision_config") ? file.object("vision_config") : file;
  }
}
