// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Draws how the first blocks of an answer are denoised, a row per step, as an SVG: {@code DenoisingPicture MODEL IMAGE QUESTION FILE} */
public final class DenoisingPicture implements GenerationListener {
  private static final int BLOCK = 8; // tokens in a block
  private static final int BLOCKS = 2;
  private static final int STEPS = 4; // per block
  private static final int LEFT = 150;
  private static final int TOP = 130;
  private static final int CELL = 84;
  private static final int ROW = 34;

  private final StringBuilder svg = new StringBuilder();
  private final Map<Integer, Integer> tokens = new HashMap<>(); // by position: what is committed
  private final Tokenizer tokenizer;
  private int rows;

  private DenoisingPicture(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  public static void main(String[] args) throws IOException {
    if (args.length != 4) {
      System.err.println("arguments: MODEL IMAGE QUESTION FILE.svg, where MODEL is a checkpoint folder");
      System.exit(2);
    }
    try (Device device = Device.open(DeviceSpec.AUTO);
        DiffusionVl model = DiffusionVl.load(device, Path.of(args[0]), DType.F32);
        Session session = model.newSession()) {
      DenoisingPicture picture = new DenoisingPicture(model.tokenizer());
      GenerationOptions options = GenerationOptions.DEFAULTS.withBlockSize(BLOCK).withSteps(STEPS).withGenLength(BLOCK * BLOCKS);
      session.generate(Request.of(args[2], ImageFiles.read(Path.of(args[1]))), options, picture);
      Files.writeString(Path.of(args[3]), picture.finish(args[2], Files.readAllBytes(Path.of(args[1]))));
      System.out.println(args[3] + ": " + picture.rows + " rows");
    }
  }

  @Override
  public void onStep(int block, int step, List<Commit> committed) {
    if (step == 0) {
      row(block, "block " + (rows / (STEPS + 1) + 1) + ", masked", List.of());
    }
    committed.forEach(commit -> tokens.put(commit.position(), commit.token()));
    row(block, "step " + (step + 1), committed);
  }

  private void row(int block, String label, List<Commit> committed) {
    int y = TOP + rows * ROW + rows++ / (STEPS + 1) * ROW / 2;
    text(LEFT - 12, y, "end", "#555", label);
    for (int i = 0; i < BLOCK; i++) {
      int position = block * BLOCK + i;
      Integer token = tokens.get(position);
      boolean fresh = committed.stream().anyMatch(commit -> commit.position() == position);
      svg.append("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\" fill=\"%s\"/>%n".formatted(LEFT + i * CELL, y, CELL - 6,
          ROW - 6,
          token == null ? "#d9d9e3" : fresh ? "#1f7a4d" : "#d5efdf"));
      text(LEFT + i * CELL + CELL / 2 - 3, y, "middle", token == null ? "#9a9aaa" : fresh ? "#fff" : "#123",
          token == null ? "?" : tokenizer.decode(new int[] {token}).strip());
    }
  }

  private void text(int x, int y, String anchor, String colour, String text) {
    svg.append("<text x=\"%d\" y=\"%d\" text-anchor=\"%s\" fill=\"%s\">%s</text>%n".formatted(x, y + ROW / 2 + 2, anchor, colour,
        text.replace("&", "&amp;").replace("<", "&lt;")));
  }

  private String finish(String question, byte[] png) {
    text(LEFT, 24, "start", "#123", question);
    text(LEFT, 52, "start", "#555", "dark: committed in this step; light: kept from before; ?: still masked");
    int width = LEFT + BLOCK * CELL + 12;
    int height = TOP + rows * ROW + BLOCKS * ROW / 2;
    return ("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
        + "font-size=\"14\">%n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>%n"
        + "<image x=\"24\" y=\"12\" width=\"100\" height=\"100\" href=\"data:image/png;base64,%s\"/>%n%s</svg>%n").formatted(width, height,
        width,
        height, Base64.getEncoder().encodeToString(png), svg);
  }
}
