// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Engine;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.NetworkConnectionLimit;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.ErrorHandler;
import org.eclipse.jetty.util.Callback;
import org.eclipse.jetty.util.VirtualThreads;
import org.eclipse.jetty.util.thread.QueuedThreadPool;

/** A server of chat completions in front of an engine. Close it before the engine. */
public final class ChatServer implements AutoCloseable {
  private static final int HEADER_BYTES = 16 << 10;
  private static final int SEND_BUFFER_BYTES = 64 << 10; // what a client that does not read can make the system hold
  private static final long SWEEP_SECONDS = 1;

  private final Engine engine;
  private final RemoteImages remote;
  private final Routes routes;
  private final Server server;
  private final ServerConnector connector;
  private final Budget budget;
  private final ScheduledExecutorService sweeper;

  /**
   * Starts to listen.
   *
   * @throws IOException when the port cannot be listened on
   */
  public ChatServer(DiffusionVl model, Engine engine, ServerOptions options) throws IOException {
    this(model, engine, options, new RemoteImages(options.imageHosts(), options.limits().bodyBytes(), PublicAddress::is));
  }

  ChatServer(DiffusionVl model, Engine engine, ServerOptions options, RemoteImages remote) throws IOException {
    this.engine = engine;
    this.remote = remote;
    budget = new Budget(Runtime.getRuntime().maxMemory() / 2);
    Connections connections = new Connections(options.limits().idle());
    Metrics metrics = new Metrics(engine, options.modelName(), connections::count);
    ChatRequestReader reader = new ChatRequestReader(model.config(), model.tokenizer(), engine.stats().kvTokens(), options,
        new ImageReader(options.limits(), remote));
    ChatHandler chat = new ChatHandler(model, engine, options, reader, metrics);
    InetAddress address = InetAddress.getByName(options.host());
    routes = new Routes(engine, options, address, chat, metrics, connections, budget);
    QueuedThreadPool threads = new QueuedThreadPool(16, 1);
    threads.setName("diffusionvl-http");
    threads.setVirtualThreadsExecutor(VirtualThreads.getNamedVirtualThreadsExecutor("diffusionvl-request-"));
    server = new Server(threads);
    server.setHandler(routes);
    server.setErrorHandler(new Refusals());
    server.setStopTimeout(0);
    connector = new ServerConnector(server, 1, 1, new HttpConnectionFactory(configuration()));
    connector.setHost(address.getHostAddress());
    connector.setPort(options.port());
    connector.setIdleTimeout(options.limits().idle().toMillis());
    connector.setAcceptQueueSize(128);
    connector.setAcceptedSendBufferSize(SEND_BUFFER_BYTES);
    connector.addBean(connections);
    server.addConnector(connector);
    server.addBean(new NetworkConnectionLimit(options.limits().connections(), connector));
    sweeper = Executors.newSingleThreadScheduledExecutor(Thread.ofPlatform().name("diffusionvl-sweeper").daemon().factory());
    sweeper.scheduleAtFixedRate(connections::sweep, SWEEP_SECONDS, SWEEP_SECONDS, TimeUnit.SECONDS);
    start();
  }

  private static HttpConfiguration configuration() {
    HttpConfiguration configuration = new HttpConfiguration();
    configuration.setRequestHeaderSize(HEADER_BYTES);
    configuration.setSendServerVersion(false);
    configuration.setSendDateHeader(true);
    return configuration;
  }

  private void start() throws IOException {
    try {
      server.start();
    } catch (Exception e) {
      close();
      throw e instanceof IOException io ? io : new IOException(e.getMessage(), e);
    }
  }

  /** Errors that come before a request reaches {@link Routes}, in the same form. */
  private static final class Refusals extends ErrorHandler {
    @Override
    public ByteBuffer badMessageError(int status, String reason, HttpFields.Mutable fields) {
      fields.put(HttpHeader.CONTENT_TYPE, "application/json");
      return ByteBuffer.wrap(Routes.refusal(status, reason));
    }

    @Override
    protected void generateResponse(Request request, Response response, int code, String message, Throwable cause, Callback callback) {
      response.getHeaders().put(HttpHeader.CONTENT_TYPE, "application/json");
      response.write(true, ByteBuffer.wrap(Routes.refusal(code, message)), callback);
    }
  }

  /** The port that is listened on. */
  public int port() {
    return connector.getLocalPort();
  }

  /**
   * Refuses new requests with 503 and waits for those in work.
   *
   * @return whether all were answered in time
   */
  public boolean drain(Duration time) throws InterruptedException {
    routes.drain();
    boolean answered = engine.drain(time);
    routes.awaitIdle(Duration.ofSeconds(1)); // the last bytes of their responses
    return answered;
  }

  /** Bytes that are set aside for bodies and images and not taken. */
  long freeBudget() {
    return budget.free();
  }

  /** Stops listening and closes all connections. Idempotent. */
  @Override
  public void close() {
    sweeper.shutdownNow();
    try {
      server.stop();
    } catch (Exception e) {
      throw new IllegalStateException("the server does not stop", e);
    } finally {
      remote.close();
    }
  }
}
