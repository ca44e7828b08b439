// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where, when and from what a result came; part of every row. */
public final class Facts {
  private static final Pattern DRIVER = Pattern.compile("\\b(\\d{3,}(?:\\.\\d+)+)\\b");

  private final String device;
  private final boolean gpu;
  private final Boolean ring; // null: there is no device
  private final String driver;
  private final String commit;
  private final String command;

  /** @param command line that was given */
  public Facts(Device device, String command) {
    this.gpu = !device.emulated();
    this.ring = device.copiesInBulk() && SkinnyWorkspace.bulkByDefault();
    this.device = gpu ? device.name() : "emulated";
    this.driver = gpu ? driverVersion() : "none";
    this.commit = commit();
    this.command = command;
  }

  /** Of a row that no device had a part in. */
  Facts(String command) {
    this.gpu = false;
    this.ring = null;
    this.device = "none";
    this.driver = "none";
    this.commit = commit();
    this.command = command;
  }

  /**
   * Adds device, driver, date, commit and command; and, of a device, {@code ring}: whether our own products of up to 8 rows copied weights
   * in bulk in this run, or by cp.async.
   */
  public void addTo(ObjectNode row) {
    row.put("device", device);
    row.put("gpu", gpu);
    row.put("driver", driver);
    row.put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
    row.put("commit", commit);
    row.put("command", command);
    if (ring != null) {
      row.put("ring", ring);
    }
  }

  /** For people. */
  public String line() {
    String note = gpu ? "" : device.equals("none") ? " (predicted, nothing was measured)" : " (not a GPU: a rehearsal)";
    return "device %s%s, driver %s, commit %s".formatted(device, note, driver, commit);
  }

  private static String driverVersion() {
    try {
      Matcher version = DRIVER.matcher(Files.readString(Path.of("/proc/driver/nvidia/version")));
      return version.find() ? version.group(1) : "unknown";
    } catch (IOException e) {
      return "unknown";
    }
  }

  /** {@code -Ddvl.commit}, else the file that an archive carries, else what git says of the working tree. */
  private static String commit() {
    String given = System.getProperty("dvl.commit");
    if (given != null) {
      return given;
    }
    String home = System.getProperty("dvl.home", ".");
    try {
      Path file = Path.of(home, "commit");
      if (Files.isRegularFile(file)) {
        return Files.readString(file).strip();
      }
      Process git = new ProcessBuilder("git", "-C", home, "describe", "--always", "--dirty", "--abbrev=12")
          .redirectErrorStream(true).start();
      String text = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      return git.waitFor(10, TimeUnit.SECONDS) && git.exitValue() == 0 ? text : "unknown";
    } catch (IOException e) {
      return "unknown";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "unknown";
    }
  }
}
