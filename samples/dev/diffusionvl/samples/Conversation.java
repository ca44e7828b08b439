// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;

/** Asks one question after another about an image, each with the conversation so far: {@code Conversation MODEL IMAGE QUESTION...} */
public final class Conversation {
  private Conversation() {}

  public static void main(String[] args) {
    if (args.length < 3) {
      System.err.println("arguments: MODEL IMAGE QUESTION..., where MODEL is a checkpoint folder");
      System.exit(2);
    }
    try (Device device = Device.open(DeviceSpec.AUTO);
        DiffusionVl model = DiffusionVl.load(device, Path.of(args[0]), DType.BF16);
        Session session = model.newSession()) {
      Request.Builder conversation = Request.builder().image(ImageFiles.read(Path.of(args[1])));
      for (int i = 2; i < args.length; i++) {
        String answer = session.generate(conversation.text(args[i]).build(), GenerationOptions.DEFAULTS).text();
        System.out.println("> " + args[i] + "\n" + answer);
        conversation.assistant(answer);
      }
    }
  }
}
