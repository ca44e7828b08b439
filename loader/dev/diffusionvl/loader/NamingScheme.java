// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.Collection;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The ways in which checkpoints name their tensors (docs/model.md, "Naming schemes"), mapped to the canonical names of {@link ModelShapes}.
 */
public enum NamingScheme {
  /** Original Qwen2.5-VL. */
  QWEN_VL("A", "model.", "visual.", "visual.merger."),
  /** Original Qwen2.5-VL re-saved under the in-memory names of newer libraries. */
  QWEN_VL_RESAVED("B", "model.language_model.", "model.visual.", "model.visual.merger."),
  /** Converted base: language model, tower and projector in files of their own, the latter two without prefixes. */
  SEPARATE_FILES("C", "model.", "", ""),
  /** Trained DiffusionVL on the Qwen tower. */
  DIFFUSION_VL("D", "model.", "model.vision_tower.vision_tower.", "model.mm_projector.merger."),
  /** Trained DiffusionVL on the SigLIP tower. */
  DIFFUSION_VL_SIGLIP("E", "model.", "model.vision_tower.vision_tower.vision_model.", "model.mm_projector."),
  /** An original SigLIP tower alone, as training takes it. */
  SIGLIP_TOWER("S", "", "vision_model.", "");

  /** Which file of a checkpoint a tensor lies in; only {@link #SEPARATE_FILES} has more than one kind. */
  enum Part {
    MAIN,
    VISION,
    PROJECTOR
  }

  private static final String HEAD = "lm_head."; // the same in all schemes; quantised it has several tensors
  private static final Map<String, String> NEWLINE = Map.of("model.image_newline", "image_newline");
  private static final Pattern LANGUAGE = Pattern.compile("(embed_tokens|layers\\.\\d+|norm)\\..+");
  /** What an original SigLIP2 checkpoint has beside the vision model. */
  private static final Pattern SIGLIP_OTHERS =
      Pattern.compile("(model\\.vision_tower\\.vision_tower\\.)?(text_model\\..+|logit_(scale|bias))");

  private final String letter;
  private final String language;
  private final String vision;
  private final String projector;

  NamingScheme(String letter, String language, String vision, String projector) {
    this.letter = letter;
    this.language = language;
    this.vision = vision;
    this.projector = projector;
  }

  /**
   * Tells the scheme by the names in the main files.
   *
   * @param separateFiles whether the tower or the projector has a file of its own
   * @param modelType decides when there is no vision tensor at all
   */
  static NamingScheme detect(Collection<String> names, boolean separateFiles, String modelType) {
    if (any(names, DIFFUSION_VL_SIGLIP.vision) || any(names, "model.mm_projector.0.")) {
      return DIFFUSION_VL_SIGLIP;
    }
    if (any(names, "model.vision_tower.") || any(names, DIFFUSION_VL.projector)) {
      return DIFFUSION_VL;
    }
    if (any(names, QWEN_VL_RESAVED.language) || any(names, QWEN_VL_RESAVED.vision)) {
      return QWEN_VL_RESAVED;
    }
    if (any(names, QWEN_VL.vision)) {
      return QWEN_VL;
    }
    if (any(names, SIGLIP_TOWER.vision)) {
      return SIGLIP_TOWER;
    }
    if (separateFiles) {
      return SEPARATE_FILES;
    }
    return modelType.equals("diffusionvl_qwen") ? DIFFUSION_VL_SIGLIP : modelType.startsWith("diffusionvl") ? DIFFUSION_VL : QWEN_VL;
  }

  private static boolean any(Collection<String> names, String prefix) {
    return names.stream().anyMatch(n -> n.startsWith(prefix));
  }

  /** Canonical name of a tensor, or null if this scheme has no such name. */
  String canonical(String name, Part part) {
    if (this == SEPARATE_FILES && part != Part.MAIN) {
      return (part == Part.VISION ? "vision." : "merger.") + name;
    }
    if (this == SIGLIP_TOWER) {
      return name.startsWith(vision) ? "siglip." + name.substring(vision.length()) : null;
    }
    if (name.startsWith(HEAD)) {
      return name;
    }
    if (this == DIFFUSION_VL_SIGLIP && NEWLINE.containsKey(name)) {
      return NEWLINE.get(name);
    }
    // the longer prefixes first: "model." begins several of them
    if (!projector.isEmpty() && name.startsWith(projector)) {
      return (this == DIFFUSION_VL_SIGLIP ? "projector." : "merger.") + name.substring(projector.length());
    }
    if (!vision.isEmpty() && name.startsWith(vision)) {
      return (this == DIFFUSION_VL_SIGLIP ? "siglip." : "vision.") + name.substring(vision.length());
    }
    if (name.startsWith(language)) {
      String rest = name.substring(language.length());
      return LANGUAGE.matcher(rest).matches() ? rest : null;
    }
    return null;
  }

  /** The file that a tensor of this canonical name belongs to. */
  Part part(String canonical) {
    return this != SEPARATE_FILES ? Part.MAIN
        : canonical.startsWith("vision.") ? Part.VISION
        : canonical.startsWith("merger.") ? Part.PROJECTOR
        : Part.MAIN;
  }

  /** The name that a canonical name has in files of this scheme. */
  public String nameInFile(String canonical) {
    if (canonical.startsWith(HEAD)) {
      return canonical;
    }
    if (canonical.equals("image_newline")) {
      return "model." + canonical;
    }
    int dot = canonical.indexOf('.');
    String rest = canonical.substring(dot + 1);
    return switch (canonical.substring(0, dot)) {
      case "vision", "siglip" -> vision + rest;
      case "merger", "projector" -> projector + rest;
      default -> language + canonical;
    };
  }

  /** The letter that {@code dvl inspect} prints (docs/model.md, "Naming schemes"). */
  public String letter() {
    return letter;
  }

  /** The family whose checkpoints are named so. */
  public ModelFamily family() {
    return hasSigLip() ? ModelFamily.QWEN_SIGLIP : ModelFamily.QWEN_VL;
  }

  /** Whether a name, as in the files, belongs to a part of an original tower's checkpoint that no model here has. */
  boolean isOtherModel(String name) {
    return hasSigLip() && SIGLIP_OTHERS.matcher(name).matches();
  }

  private boolean hasSigLip() {
    return this == DIFFUSION_VL_SIGLIP || this == SIGLIP_TOWER;
  }

  /** Whether a tensor that nothing needs is a known leftover rather than a surprise. */
  static boolean isKnownLeftover(String canonical, ModelConfig config) {
    if (canonical.equals(ModelShapes.LM_HEAD)) {
      return true;
    }
    // the pooling head and the last layer of an original SigLIP2 tower
    return config.sigLip() != null && (canonical.startsWith("siglip.head.")
        || canonical.startsWith("siglip.encoder.layers." + config.sigLip().layers() + "."));
  }
}
