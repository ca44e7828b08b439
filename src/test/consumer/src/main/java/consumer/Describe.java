// SPDX-License-Identifier: Apache-2.0
package consumer;

import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;

/** Describes an image: {@code Describe MODEL IMAGE} */
public final class Describe {
  private Describe() {}

  public static void main(String[] args) {
    System.out.println(describe(args[0], args[1]));
  }

  public static String describe(String model, String image) {
    try (Device device = Device.open(DeviceSpec.EMULATED);
        DiffusionVl vl = DiffusionVl.load(device, Path.of(model), DType.F32);
        Session session = vl.newSession()) {
      Request request = Request.of("Describe this image.", ImageFiles.read(Path.of(image)));
      return session.generate(request, GenerationOptions.DEFAULTS).text();
    }
  }
}
