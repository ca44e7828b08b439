// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.model.constraint.Constraint;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;
import java.util.List;

/** What a picture shows, as a Java record: {@code PictureToRecord MODEL IMAGE} */
public final class PictureToRecord {
  enum Colour { RED, GREEN, BLUE, YELLOW, PINK, OTHER }

  record Shape(String name, Colour colour, boolean large) {}

  record Drawing(int count, List<Shape> shapes) {}

  private PictureToRecord() {}

  public static void main(String[] args) {
    if (args.length != 2) {
      System.err.println("arguments: MODEL IMAGE, where MODEL is a checkpoint folder");
      System.exit(2);
    }
    try (Device device = Device.open(DeviceSpec.AUTO);
        DiffusionVl model = DiffusionVl.load(device, Path.of(args[0]), DType.BF16);
        Session session = model.newSession()) {
      Request question = Request.of("Describe this image.", ImageFiles.read(Path.of(args[1])));
      GenerationOptions options = GenerationOptions.DEFAULTS.withConstraint(Constraint.of(Drawing.class));
      Drawing drawing = session.generate(question, options).as(Drawing.class);
      System.out.println(drawing);
    }
  }
}
