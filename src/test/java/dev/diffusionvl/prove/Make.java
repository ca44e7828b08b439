// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The native build (cuda/Makefile) from a test. */
public final class Make {
  /** Exit status and everything that was printed. */
  public record Result(int status, String output) {}

  private Make() {}

  /** Makes targets in the build's own folder. @throws IllegalStateException with make's output when it fails */
  public static void run(String... targets) throws IOException, InterruptedException {
    Result result = run(MutantRunner.NATIVE, targets);
    if (result.status() != 0) {
      throw new IllegalStateException("make " + String.join(" ", targets) + " failed:\n" + result.output());
    }
  }

  /** Makes targets in some folder. */
  public static Result run(Path build, String... targets) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("make", "--no-print-directory", "-j" + Integer.getInteger("dvl.jobs", 2), "-C", "cuda",
        "BUILD=" + build.toAbsolutePath()));
    command.addAll(List.of(targets));
    Process make = new ProcessBuilder(command).redirectErrorStream(true).start();
    make.getOutputStream().close();
    String output = new String(make.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Result(make.waitFor(), output);
  }
}
