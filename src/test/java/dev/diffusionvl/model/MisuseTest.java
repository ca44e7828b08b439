// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.LeakTracker;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What careless callers do: calls from inside of listeners, interrupted threads, files that change, arguments that are null. */
class MisuseTest {
  private static final Path FOLDER = Path.of("samples/models/diffusionvl-tiny");
  private static final RgbImage SQUARE = ImageFiles.read(Path.of("samples/images/yellow-square.png"));
  private static final Request REQUEST = Request.of("What color is the square?", SQUARE);
  private static final GenerationOptions BRIEF = GenerationOptions.DEFAULTS.withGenLength(8).withSteps(2);
  private static final String ANSWER = "The square is yellow.";

  private int handles;
  private Device device;
  private DiffusionVl model;
  private Session session;

  @TempDir
  private Path temp;

  @BeforeEach
  void open() {
    handles = LeakTracker.openHandles();
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, FOLDER, DType.BF16);
    session = model.newSession();
  }

  @AfterEach
  void closeTwice() {
    Thread.interrupted();
    for (int i = 0; i < 2; i++) {
      session.close();
      model.close();
      device.close();
    }
    assertEquals(handles, LeakTracker.openHandles());
  }

  /** Where a program's own code runs inside of a generation. */
  private enum Moment { IS_CANCELLED, IS_LIVE, PROGRESS, STEP, PREVIEW, TEXT }

  /** What it does there, and what becomes of that call and of the generation around it: null is nothing, an answer. */
  private enum Deed {
    CLOSE_SESSION(IllegalStateException.class, null),
    GENERATE(IllegalStateException.class, null),
    CLOSE_MODEL(IllegalStateException.class, null),
    ANOTHER_SESSION(null, null),
    CLOSE_DEVICE(null, IllegalStateException.class),
    INTERRUPT(null, null),
    THROW(ArithmeticException.class, ArithmeticException.class);

    private final Class<? extends Exception> own;
    private final Class<? extends Exception> around;

    Deed(Class<? extends Exception> own, Class<? extends Exception> around) {
      this.own = own;
      this.around = around;
    }
  }

  private record Case(Moment moment, Deed deed) {}

  private static List<Case> cases() {
    List<Case> cases = new ArrayList<>();
    for (Moment moment : Moment.values()) {
      for (Deed deed : Deed.values()) {
        cases.add(new Case(moment, deed));
      }
    }
    return cases;
  }

  private void run(Deed deed) {
    switch (deed) {
      case CLOSE_SESSION -> session.close();
      case GENERATE -> session.generate(REQUEST, BRIEF);
      case CLOSE_MODEL -> model.close();
      case ANOTHER_SESSION -> {
        try (Session other = model.newSession()) {
          assertEquals(ANSWER, other.generate(REQUEST, BRIEF).text());
        }
      }
      case CLOSE_DEVICE -> device.close();
      case INTERRUPT -> Thread.currentThread().interrupt();
      case THROW -> throw new ArithmeticException("the listener's own");
    }
  }

  /** Does the deed once, at the first such moment. */
  private final class Listener implements GenerationListener {
    private final Case wanted;
    private boolean done;
    private Exception thrown;

    Listener(Case wanted) {
      this.wanted = wanted;
    }

    private void at(Moment moment) {
      if (moment == wanted.moment && !done) {
        done = true;
        try {
          run(wanted.deed);
        } catch (IllegalStateException e) {
          thrown = e;
        } catch (RuntimeException e) {
          thrown = e;
          throw e;
        }
      }
    }

    @Override
    public boolean isCancelled() {
      at(Moment.IS_CANCELLED);
      return false;
    }

    @Override
    public boolean isLive() {
      at(Moment.IS_LIVE);
      return true;
    }

    @Override
    public void onProgress(Progress progress) {
      at(Moment.PROGRESS);
    }

    @Override
    public void onStep(int block, int step, List<Commit> committed) {
      at(Moment.STEP);
    }

    @Override
    public void onPreview(BlockPreview preview) {
      at(Moment.PREVIEW);
    }

    @Override
    public void onText(String text) {
      at(Moment.TEXT);
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void fromInsideOfAListener(Case wanted) {
    Listener listener = new Listener(wanted);
    GenerationResult result = null;
    Exception around = null;
    try {
      result = session.generate(REQUEST, BRIEF, listener);
    } catch (RuntimeException e) {
      around = e;
    }
    assertTrue(listener.done);
    if (wanted.deed.own == null) {
      assertNull(listener.thrown);
    } else {
      assertInstanceOf(wanted.deed.own, listener.thrown);
    }
    if (wanted.deed == Deed.CLOSE_DEVICE && wanted.moment == Moment.TEXT && around == null) {
      return; // the last block was finished: nothing was left to be done on the device
    }
    if (wanted.deed.around != null) {
      assertInstanceOf(wanted.deed.around, around);
    } else {
      assertNull(around);
      assertNotNull(result);
      boolean interrupted = Thread.interrupted();
      assertEquals(wanted.deed == Deed.INTERRUPT, interrupted);
      assertTrue(result.text().equals(ANSWER) || result.finishReason().equals("cancelled") && interrupted, result.toString());
    }
    if (wanted.deed != Deed.CLOSE_DEVICE) {
      assertEquals(ANSWER, session.generate(REQUEST, BRIEF).text(), "the session goes on");
    }
  }

  @Test
  void closingAModelFromItsLoadListenerCannotBe() {
    try (Device other = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")))) {
      assertThrows(IllegalStateException.class, () -> DiffusionVl.load(other, FOLDER, DType.BF16, (bytes, total) -> other.close()));
    }
  }

  @Test
  void anInterruptedThreadIsNoFaultOfAFile() {
    Thread.currentThread().interrupt();
    assertEquals("cancelled", session.generate(REQUEST, BRIEF).finishReason());
    for (Runnable work : List.<Runnable>of(() -> DiffusionVl.load(device, FOLDER, DType.BF16), () -> ModelFiles.open(FOLDER))) {
      String message = assertThrows(CancellationException.class, work::run).getMessage();
      assertTrue(message.endsWith("interrupted"), message);
    }
    assertTrue(Thread.interrupted());
    assertEquals(ANSWER, session.generate(REQUEST, BRIEF).text());
  }

  @Test
  void interruptedWhileTheWeightsLoad() {
    assertThrows(CancellationException.class,
        () -> DiffusionVl.load(device, FOLDER, DType.BF16, (bytes, total) -> Thread.currentThread().interrupt()));
    assertTrue(Thread.interrupted());
  }

  /** By less than a page, which reads as zeros, and by more, which is a fault. */
  @ParameterizedTest
  @ValueSource(longs = {1, 1 << 20, 10_000_000})
  void aMappedFileThatShrinks(long bytes) throws IOException {
    Path copy = Files.createDirectory(temp.resolve("copy"));
    try (Stream<Path> files = Files.list(FOLDER)) {
      for (Path file : files.toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }
    Path weights = copy.resolve("model.safetensors");
    try (ModelFiles files = ModelFiles.open(copy)) {
      try (FileChannel channel = FileChannel.open(weights, StandardOpenOption.WRITE)) {
        channel.truncate(channel.size() - bytes);
      }
      String message = assertThrows(BadInputException.class, () -> DiffusionVl.load(device, files, DType.BF16,
          LoadListener.NONE)).getMessage();
      assertEquals(weights + ": became shorter while it was read", message);
    }
  }

  @Test
  void nothingIsLeftOfWhatCouldNotBe() {
    int open = LeakTracker.openHandles();
    assertThrows(NullPointerException.class, () -> model.newSession(null));
    assertThrows(NullPointerException.class, () -> session.generate(null, BRIEF));
    assertThrows(NullPointerException.class, () -> session.generate(REQUEST, null));
    assertThrows(NullPointerException.class, () -> session.generate(REQUEST, BRIEF, null));
    assertEquals(open, LeakTracker.openHandles());
    assertEquals(ANSWER, session.generate(REQUEST, BRIEF).text());
  }

  @Test
  void temperaturesNearZero() {
    for (float temperature : new float[] {Float.MIN_VALUE, 1e-30f, 1e-7f, -1e-3f, Float.NaN, Float.POSITIVE_INFINITY}) {
      String message = assertThrows(IllegalArgumentException.class, () -> BRIEF.withSampling(temperature, 0, 1f)).getMessage();
      assertTrue(message.startsWith("temperature is "), message);
    }
    for (float temperature : new float[] {0, 1e-6f, 1e-3f}) {
      assertEquals(ANSWER, session.generate(REQUEST, BRIEF.withSampling(temperature, 0, 1f)).text());
    }
    assertFalse(session.generate(REQUEST, BRIEF.withSampling(1e30f, 0, 1f)).text().isEmpty());
  }

  @Test
  void aSessionOfAClosedModelIsRefused() {
    model.close();
    assertThrows(IllegalStateException.class, () -> session.generate(REQUEST, BRIEF));
    assertThrows(IllegalStateException.class, () -> model.newSession());
  }

  /** Options have defaults made of each other: whichever class a program touches first, all of them are there. */
  @ParameterizedTest
  @ValueSource(strings = {"GenerationOptions", "Sampling", "Decoding$Block", "Decoding$Full", "Decoding", "Execution", "EngineOptions",
      "GenerationOptions$Remasking", "Request"})
  void anyOptionMayBeUsedFirst(String first) throws Exception {
    URL[] classes = {Path.of("target/classes").toUri().toURL()};
    try (URLClassLoader fresh = new URLClassLoader(classes, ClassLoader.getPlatformClassLoader())) {
      Class.forName("dev.diffusionvl.model." + first, true, fresh);
      assertNotNull(Class.forName("dev.diffusionvl.model.GenerationOptions", true, fresh).getField("DEFAULTS").get(null));
    }
  }

  /** The nightly profile opens 1,000 sessions and loads 200 models: the process does not grow. */
  @Test
  void theProcessDoesNotGrow() throws IOException {
    boolean all = System.getProperty("dvl.switches", "few").equals("all");
    churn(all ? 100 : 10, all ? 20 : 3);
    long before = residentBytes();
    churn(all ? 1000 : 40, all ? 200 : 8);
    long grown = residentBytes() - before;
    assertTrue(grown < 100L << 20, grown + " bytes more are resident");
  }

  private void churn(int sessions, int loads) {
    for (int i = 0; i < sessions; i++) {
      try (Session other = model.newSession()) {
        if (i % 20 == 0) {
          other.generate(REQUEST, BRIEF);
        }
      }
    }
    for (int i = 0; i < loads; i++) {
      DiffusionVl.load(device, FOLDER, DType.BF16).close();
    }
  }

  private static long residentBytes() throws IOException {
    System.gc();
    return 4096 * Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]);
  }
}
