// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Engine;
import dev.diffusionvl.model.EngineOptions;
import dev.diffusionvl.model.MemoryNeed;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.server.ApiKeys;
import dev.diffusionvl.server.ChatServer;
import dev.diffusionvl.server.ServerOptions;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import sun.misc.Signal;

/** {@code dvl serve}: answers requests by HTTP until it is told to stop. */
@Command(name = "serve", description = "Serves OpenAI's chat completions, and a page that shows how answers are denoised.",
    mixinStandardHelpOptions = true, showDefaultValues = true)
final class ServeCommand implements Callable<Integer> {
  private static final Logger HTTP_LOG = Logger.getLogger("org.eclipse.jetty"); // kept, so that its level is

  @Mixin private ModelChoice model;

  @Option(names = "--model-name", paramLabel = "NAME", description = "how clients call the model (default: the name of its folder)")
  private String modelName;

  @Option(names = "--host", paramLabel = "HOST", defaultValue = "127.0.0.1",
      description = "name or address to listen on; one that other machines reach needs --api-key-file")
  private String host;

  @Option(names = "--port", paramLabel = "PORT", defaultValue = "8080", description = "0 takes a free one")
  private int port;

  @Option(names = "--api-key-file", paramLabel = "FILE", description = "keys, one a line, of which clients must show one")
  private Path apiKeyFile;

  @Option(names = "--slots", paramLabel = "N", defaultValue = "32", description = "answers denoised at the same time, 1 to 64")
  private int slots;

  @Option(names = "--queue", paramLabel = "N", defaultValue = "256", description = "answers that may wait for a slot; more are refused")
  private int queue;

  @Option(names = "--kv-tokens", paramLabel = "N", defaultValue = "65536",
      description = "rows of memory for keys and values, which all answers in work share")
  private int kvTokens;

  @Option(names = "--drain-seconds", paramLabel = "N", defaultValue = "30",
      description = "time that answers in work have to end when the server is told to stop")
  private int drainSeconds;

  @Option(names = "--request-timeout", paramLabel = "S", defaultValue = "600",
      description = "seconds that an answer may take, waiting included")
  private int requestSeconds;

  @Option(names = "--allow-image-host", paramLabel = "HOST[:PORT]",
      description = "host that images may be fetched from; may be repeated (default: none)")
  private Set<String> imageHosts = new TreeSet<>();

  @Option(names = "--max-body-bytes", paramLabel = "N", defaultValue = "33554432", description = "of a request")
  private int bodyBytes;

  @Option(names = "--max-images", paramLabel = "N", defaultValue = "8", description = "in a request")
  private int images;

  @Option(names = "--max-image-pixels", paramLabel = "N", defaultValue = "25000000", description = "of one image")
  private long imagePixels;

  @Option(names = "--default-max-tokens", paramLabel = "N", defaultValue = "512",
      description = "length of answers whose request names none")
  private int defaultTokens;

  @Option(names = "--max-connections", paramLabel = "N", defaultValue = "1024", description = "open at the same time")
  private int connections;

  private final CountDownLatch stop = new CountDownLatch(1);

  @Override
  public Integer call() throws InterruptedException {
    DType type = model.dtype();
    EngineOptions engineOptions = engineOptions();
    Path directory = model.directory();
    ServerOptions options = options(directory);
    HTTP_LOG.setLevel(Level.WARNING);
    try (ModelFiles files = ModelFiles.open(directory)) {
      files.remarks().forEach(remark -> System.err.println("dvl: " + remark));
      DecodingOptions.announce(files.config());
      MemoryNeed need = MemoryNeed.of(files, type, model.kv(files.config()), kvTokens);
      try (Device gpu = Device.open(model.device())) {
        model.announce(gpu, need);
        need.requireFree(gpu);
        try (DiffusionVl loaded = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal());
            Engine engine = loaded.newEngine(engineOptions);
            ChatServer server = open(loaded, engine, options)) {
          loaded.remarks().forEach(remark -> System.err.println("dvl: " + remark));
          serve(server, options);
        }
      }
    }
    return 0;
  }

  private void serve(ChatServer server, ServerOptions options) throws InterruptedException {
    for (String signal : new String[] {"INT", "TERM"}) {
      Signal.handle(new Signal(signal), s -> stopOrHalt(s.getNumber()));
    }
    String shown = host.contains(":") && !host.startsWith("[") ? "[" + host + "]" : host;
    System.out.println("serving " + options.modelName() + " at http://" + shown + ":" + server.port() + "/");
    stop.await();
    System.err.println("dvl: stopping; answers in work have " + drainSeconds + " s");
    if (!server.drain(Duration.ofSeconds(drainSeconds))) {
      System.err.println("dvl: the time is over; answers that were not finished are cut off");
    }
  }

  /** The first signal lets answers end; the second one does not. */
  private void stopOrHalt(int signal) {
    if (stop.getCount() == 0) {
      Runtime.getRuntime().halt(128 + signal);
    }
    stop.countDown();
  }

  private ChatServer open(DiffusionVl loaded, Engine engine, ServerOptions options) {
    try {
      return new ChatServer(loaded, engine, options);
    } catch (IOException e) {
      throw new Dvl.UsageException("--port: cannot listen on " + host + ", port " + port + ": " + e.getMessage());
    }
  }

  private EngineOptions engineOptions() {
    return Dvl.UsageException.checked(() -> EngineOptions.DEFAULTS.withSlots(slots).withQueue(queue).withKvTokens(kvTokens)
        .withGemm(model.gemm()).withKv(model.kv()));
  }

  private ServerOptions options(Path directory) {
    if (port < 0 || port > 65535) {
      throw new Dvl.UsageException("--port is " + port + ", allowed is 0 to 65535");
    }
    if (drainSeconds < 0) {
      throw new Dvl.UsageException("--drain-seconds is " + drainSeconds + ", allowed is 0 or more");
    }
    requireKeyForStrangers();
    ApiKeys keys = apiKeyFile == null ? ApiKeys.NONE : ApiKeys.read(apiKeyFile);
    String name = modelName != null ? modelName : directory.toAbsolutePath().normalize().getFileName().toString();
    ServerOptions.Limits usual = ServerOptions.Limits.DEFAULTS;
    return Dvl.UsageException.checked(() -> new ServerOptions(host, port, name, keys, imageHosts,
        new ServerOptions.Limits(bodyBytes, images, imagePixels, usual.textChars(), usual.choices(), defaultTokens, connections,
            usual.idle(), usual.body(), Duration.ofSeconds(requestSeconds))));
  }

  private void requireKeyForStrangers() {
    try {
      if (apiKeyFile == null && !InetAddress.getByName(host).isLoopbackAddress()) {
        throw new Dvl.UsageException("--host: " + host + " can be reached from other machines, so --api-key-file is needed");
      }
    } catch (UnknownHostException e) {
      throw new Dvl.UsageException("--host: " + host + " is no name or address of this machine");
    }
  }
}
