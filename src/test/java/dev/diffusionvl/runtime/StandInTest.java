// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The way a GPU machine's libraries are found and loaded, in processes of their own, with the emulated device's libraries standing
 * in for NVIDIA's: {@code -Ddvl.cuda.libs} names a folder with a libcuda.so.1, so {@code --device gpu} takes it.
 */
class StandInTest {
  @TempDir private Path temp;

  private record Outcome(int code, String out, String err) {}

  private Path folder(String... files) throws IOException {
    Path folder = Files.createDirectory(temp.resolve("libs"));
    for (String file : files) {
      Files.copy(NativeFiles.of(file), folder.resolve(Path.of(file).getFileName()));
    }
    return folder;
  }

  private static boolean absent(String... names) {
    return CudaLibraries.candidates(names).stream().allMatch(candidate -> candidate.file() == null);
  }

  private Outcome run(Path libraries, String main, String... arguments) throws IOException, InterruptedException {
    return run(libraries, List.of(System.getProperty("java.class.path")), Map.of(), main, arguments);
  }

  private Outcome run(Path libraries, List<String> classPath, Map<String, String> environment, String main, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED", "-Ddvl.home=.", "-Ddvl.trackLeaks=true",
        "-Ddvl.cuda.libs=" + libraries, "-cp", String.join(":", classPath), main));
    command.addAll(List.of(arguments));
    Path out = temp.resolve("stdout");
    Path err = temp.resolve("stderr");
    ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().putAll(environment);
    Process process = builder.start();
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), "the process did not end");
    return new Outcome(process.exitValue(), Files.readString(out), Files.readString(err));
  }

  private Outcome generate(Path libraries) throws IOException, InterruptedException {
    return generate(libraries, Map.of());
  }

  private Outcome generate(Path libraries, Map<String, String> environment, String... more) throws IOException, InterruptedException {
    List<String> arguments = new ArrayList<>(List.of("generate", "--image", "samples/images/yellow-square.png", "--prompt",
        "What color is the square?", "--device", "gpu"));
    arguments.addAll(List.of(more));
    return run(libraries, List.of(System.getProperty("java.class.path")), environment, "dev.diffusionvl.cli.Dvl",
        arguments.toArray(String[]::new));
  }

  /** The main job on a machine that has CUDA 13 only. */
  @Test
  void theMainJobRunsWithCublas13() throws Exception {
    Outcome outcome = generate(folder("emulated/libcuda.so.1", "stand-in/libcublas.so.13"));
    assertEquals(0, outcome.code(), outcome.err());
    assertEquals("The square is yellow.", outcome.out().strip());
  }

  @Test
  void theMainJobRunsWithCublas12() throws Exception {
    Outcome outcome = generate(folder("emulated/libcuda.so.1", "emulated/libcublas.so.12"));
    assertEquals(0, outcome.code(), outcome.err());
    assertEquals("The square is yellow.", outcome.out().strip());
  }

  @Test
  void withoutCublasTheMessageNamesBothAndThePath() throws Exception {
    assumeTrue(absent("libcublas.so.12", "libcublas.so.13"), "this machine has cuBLAS");
    Path libraries = folder("emulated/libcuda.so.1");
    Outcome outcome = generate(libraries);
    assertEquals(4, outcome.code(), outcome.err());
    for (String mention : List.of("neither libcublas.so.12 nor libcublas.so.13", libraries.toString(), "-Ddvl.cuda.libs=FOLDER",
        "install")) {
      assertTrue(outcome.err().contains(mention), outcome.err());
    }
    assertFalse(outcome.err().contains("\tat "), outcome.err());
  }

  /** A cuBLAS without a function that is needed is refused before it is called: the late binding of JCublas would end the process. */
  @Test
  void aCublasWithoutANeededFunctionIsRefusedByName() throws Exception {
    Path libraries = folder("emulated/libcuda.so.1");
    Files.copy(NativeFiles.of("emulated/libcuda.so.1"), libraries.resolve("libcublas.so.13"));
    Outcome outcome = generate(libraries);
    assertEquals(4, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("libcublas.so.13 has no function cublasCreate_v2"), outcome.err());
  }

  @Test
  void withoutADriverTheMessageSaysWhatWasLookedFor() throws Exception {
    assumeTrue(CudaLibraries.driverTraces().isEmpty(), "this machine has a GPU");
    Outcome outcome = generate(Files.createDirectory(temp.resolve("empty")));
    assertEquals(4, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("libcuda.so.1") && outcome.err().contains("/dev/nvidia0"), outcome.err());
  }

  /** Exit code 4 and a single line that says these things. */
  private static void assertRefused(Outcome outcome, String... mentions) {
    assertEquals(4, outcome.code(), outcome.err());
    String said = outcome.err().replaceFirst("dvl: running on .*\n", "");
    assertEquals(1, said.strip().lines().count(), outcome.err());
    for (String mention : mentions) {
      assertTrue(outcome.err().contains(mention), outcome.err());
    }
  }

  /** Its cuInit would end the process. */
  @Test
  void aDriverThatIsTooOldIsNamedBeforeItIsStarted() throws Exception {
    assumeTrue(DriverVersion.neededForPtx() >= 13000, "this build's kernels run on older drivers, or there are none");
    Path libraries = folder("stand-in/r575/libcuda.so.1", "stand-in/libcuda-behind.so", "emulated/libcublas.so.12");
    assertRefused(generate(libraries), "CUDA 13.0 (driver r580) or newer", libraries + "/libcuda.so.1 offers CUDA 12.9 (driver r575)",
        "cuda-compat-13-0", "-Ddvl.cuda.libs=");
  }

  @Test
  void aGpuInMigModeWithoutAnInstance() throws Exception {
    Path libraries = folder("stand-in/mig-without-instance/libcuda.so.1", "stand-in/libcuda-behind.so", "emulated/libcublas.so.12");
    assertRefused(generate(libraries, Map.of("CUDA_VISIBLE_DEVICES", "MIG-0")), "shows no GPU; CUDA_VISIBLE_DEVICES is 'MIG-0'",
        "nvidia-smi mig -lgi", "CUDA_ERROR_NO_DEVICE");
  }

  /** A slice works as a GPU does; what does not fit into it is said before anything is loaded. */
  @Test
  void aMigSlice() throws Exception {
    Path libraries = folder("stand-in/mig-slice/libcuda.so.1", "stand-in/libcuda-behind.so", "emulated/libcublas.so.12");
    Outcome outcome = generate(libraries);
    assertEquals(0, outcome.code(), outcome.err());
    assertEquals("The square is yellow.", outcome.out().strip());
    assertRefused(generate(libraries, Map.of("DVL_EMULATED_MEMORY", "4M")), "NVIDIA H100 80GB HBM3 MIG 1g.10gb");
  }

  @Test
  void aGpuThatIsTooOld() throws Exception {
    Path libraries = folder("stand-in/t4/libcuda.so.1", "stand-in/libcuda-behind.so", "emulated/libcublas.so.12");
    assertRefused(generate(libraries), "Tesla T4 has compute capability 7.5", "8.0 or newer");
  }

  /** A driver that has no tensor maps gets products without them. Where it refuses the one that is needed, the line says what helps. */
  @Test
  void aDriverThatMakesNoTensorMaps() throws Exception {
    Path libraries = folder("stand-in/no-tensor-maps/libcuda.so.1", "stand-in/libcuda-behind.so", "emulated/libcublas.so.12");
    String[] own = {"--dtype", "bf16", "--gemm", "own"};
    assertEquals(0, generate(libraries, Map.of("STAND_IN_STATUS", "801"), own).code());
    assertRefused(generate(libraries, Map.of("STAND_IN_STATUS", "1"), own), "cuTensorMapEncodeTiled", "CUDA_ERROR_INVALID_VALUE",
        "-Ddvl.ring=false");
    assertEquals(0, generate(libraries, Map.of("STAND_IN_STATUS", "1", "JAVA_TOOL_OPTIONS", "-Ddvl.ring=false"), own).code());
  }

  /** cuBLAS 12 in parts and cuBLAS 13 whole: the whole one serves, and where there is none the line says what is missing. */
  @Test
  void aMixedInstallation() throws Exception {
    Path libraries = folder("emulated/libcuda.so.1", "stand-in/half/libcublas.so.12", "stand-in/libcublas.so.13");
    Outcome outcome = generate(libraries);
    assertEquals(0, outcome.code(), outcome.err());
    Files.delete(libraries.resolve("libcublas.so.13"));
    assertRefused(generate(libraries), libraries + "/libcublas.so.12 does not load: libcublasLt.so.12: cannot open shared object file");
  }

  /** As in a container or with ld.so.conf: no path of ours names the folder, the system's loader does. */
  @Test
  void cublasIsFoundByItsName() throws Exception {
    assumeTrue(absent("libcublas.so.12", "libcublas.so.13"), "this machine has cuBLAS");
    Path libraries = folder("emulated/libcuda.so.1");
    Path elsewhere = Files.createDirectory(temp.resolve("elsewhere"));
    Files.copy(NativeFiles.of("emulated/libcublas.so.12"), elsewhere.resolve("libcublas.so.12"));
    assertEquals(0, generate(libraries, Map.of("LD_LIBRARY_PATH", elsewhere.toString())).code());
  }

  @Test
  void cublasIsFoundInAnEnvironmentOfConda() throws Exception {
    assumeTrue(absent("libcublas.so.12", "libcublas.so.13"), "this machine has cuBLAS");
    Path libraries = folder("emulated/libcuda.so.1");
    Path wheel = Files.createDirectories(temp.resolve("env/lib/python3.12/site-packages/nvidia/cu13/lib"));
    Files.copy(NativeFiles.of("stand-in/libcublas.so.13"), wheel.resolve("libcublas.so.13"));
    assertEquals(0, generate(libraries, Map.of("CONDA_PREFIX", temp.resolve("env").toString())).code());
    Path conda = Files.createDirectories(temp.resolve("env/conda-meta")).resolveSibling("lib").resolve("libcublas.so.13");
    Files.move(wheel.resolve("libcublas.so.13"), conda);
    assertEquals(0, generate(libraries, Map.of("CONDA_PREFIX", temp.resolve("env").toString())).code());
  }

  /** With LD_BIND_NOW every function that JCublas names must be there, although some hundred are never called. */
  @Test
  void functionsThatNobodyCallsMayBeAbsentThoughAllAreBoundAtOnce() throws Exception {
    Path libraries = folder("emulated/libcuda.so.1", "stand-in/few/libcublas.so.13");
    for (Map<String, String> environment : List.of(Map.<String, String>of(), Map.of("LD_BIND_NOW", "1"))) {
      Outcome outcome = generate(libraries, environment);
      assertEquals(0, outcome.code(), outcome.err());
      assertEquals("The square is yellow.", outcome.out().strip());
    }
  }

  @Test
  void withoutCudnnTheMessageNamesItAndThePath() throws Exception {
    assumeTrue(absent("libcudnn.so.9"), "this machine has cuDNN");
    Path libraries = folder("emulated/libcuda.so.1", "emulated/libcublas.so.12");
    Outcome outcome = run(libraries, Probe.class.getName(), "cudnn");
    assertEquals(1, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("libcudnn.so.9 not found in [" + libraries), outcome.err());
    assertTrue(outcome.err().contains("libcudnn9-cuda-12"), outcome.err());
  }

  @Test
  void cudnnIsFoundAndItsFunctionsChecked() throws Exception {
    Path libraries = folder("emulated/libcuda.so.1", "emulated/libcublas.so.12", "emulated/libcudnn.so.9");
    assertEquals(0, run(libraries, Probe.class.getName(), "cudnn").code());
    Files.copy(NativeFiles.of("emulated/libcublas.so.12"), libraries.resolve("libcudnn.so.9"), StandardCopyOption.REPLACE_EXISTING);
    Outcome outcome = run(libraries, Probe.class.getName(), "cudnn");
    assertEquals(1, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("libcudnn.so.9 has no function cudnnCreate"), outcome.err());
  }

  /** A build without jni-kernels: what needs it says so, the rest works. */
  @Test
  void withoutTheJniLibraryTheRestWorks() throws Exception {
    Path natives = NativeFiles.of("emulated").getParent().toAbsolutePath();
    Path classes = Path.of(Device.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    Path without = Files.createDirectories(temp.resolve("without/dvl/native"));
    for (String part : List.of("emulated", "kernels")) {
      Files.createSymbolicLink(without.resolve(part), natives.resolve(part));
    }
    Files.createSymbolicLink(temp.resolve("without/dev"), classes.resolve("dev"));
    List<String> path = new ArrayList<>(List.of(temp.resolve("without").toString()));
    for (String entry : System.getProperty("java.class.path").split(":")) {
      Path absolute = Path.of(entry).toAbsolutePath();
      if (!Files.isSameFile(absolute, classes) && !Files.exists(absolute.resolve("dvl/native/jni"))) {
        path.add(entry);
      }
    }
    Outcome outcome = run(folder("emulated/libcuda.so.1", "emulated/libcublas.so.12"), path, Map.of(), Probe.class.getName(), "without");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.out().contains("a launch that overlaps needs libdvl_jni.so, which is not in this build"), outcome.out());
    assertTrue(outcome.out().contains("graph of 1"), outcome.out());
  }

  /** Handles still open when the process ends are reported with the stack that opened them. */
  @Test
  void aPlantedLeakIsReportedAtExit() throws Exception {
    Outcome outcome = run(folder("emulated/libcuda.so.1", "emulated/libcublas.so.12"), Probe.class.getName(), "leak");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("buffer 'planted' f32[5] opened here"), outcome.err());
    assertTrue(outcome.err().contains("StandInTest$Probe.main(StandInTest.java:"), outcome.err());
  }

  /** Natives are unpacked once: a second process finds them. */
  @Test
  void nativesAreKeptBetweenProcesses() throws Exception {
    Path cache = temp.resolve("cache");
    List<List<Path>> seen = new ArrayList<>();
    Path libraries = folder("emulated/libcuda.so.1", "emulated/libcublas.so.12");
    for (int i = 0; i < 2; i++) {
      List<String> command = List.of(System.getProperty("java.home") + "/bin/java", "-XX:TieredStopAtLevel=1",
          "--enable-native-access=ALL-UNNAMED", "-Ddvl.native.cache=" + cache, "-Ddvl.cuda.libs=" + libraries, "-cp",
          System.getProperty("java.class.path"), Probe.class.getName(), "open");
      Process process = new ProcessBuilder(command).inheritIO().start();
      assertTrue(process.waitFor(60, TimeUnit.SECONDS));
      assertEquals(0, process.exitValue());
      try (java.util.stream.Stream<Path> files = Files.walk(cache)) {
        seen.add(files.filter(Files::isRegularFile).sorted().toList());
      }
    }
    assertEquals(2, seen.get(0).size(), "JCudaDriver and JCublas2: " + seen);
    assertEquals(seen.get(0), seen.get(1));
  }

  /** What the child processes run. */
  static final class Probe {
    private Probe() {}

    public static void main(String[] arguments) {
      Device device = Device.open(DeviceSpec.parse("gpu"));
      if (!device.emulated()) {
        throw new AssertionError("the stand-in driver says that it is a GPU");
      }
      switch (arguments[0]) {
        case "cudnn" -> JCudaNatives.loadCudnn();
        case "without" -> {
          try (Stream stream = device.newStream(); DeviceBuffer b = device.allocate("b", DType.I32, 1)) {
            try {
              stream.launch(device.kernel("read_sum", "read_sum_f32"), 1, 1, 1, 32, 0).overlapping().ptr(b).ptr(b).u64(0).go();
            } catch (UnsupportedOperationException e) {
              System.out.println(e.getMessage());
            }
            try (Graph graph = Graph.capture(stream, () -> stream.fill(b, 0))) {
              graph.launch(stream);
              stream.synchronize();
              System.out.println("graph of " + graph.nodes());
            }
          }
          device.close();
        }
        case "leak" -> device.allocate("planted", DType.F32, 5);
        default -> device.close();
      }
    }
  }
}
