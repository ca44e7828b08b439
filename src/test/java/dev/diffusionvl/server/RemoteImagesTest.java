// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Images come from hosts that were named, and from public addresses alone, whatever a redirect or a name server says. */
class RemoteImagesTest {
  private static final AtomicInteger ASKED = new AtomicInteger();
  private static HttpServer host;
  private static int port;
  private static byte[] image;

  @BeforeAll
  static void serve() throws IOException {
    image = Files.readAllBytes(ServedModel.IMAGE);
    host = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    port = host.getAddress().getPort();
    host.createContext("/", exchange -> {
      ASKED.incrementAndGet();
      String path = exchange.getRequestURI().getPath();
      String to = switch (path) {
        case "/moved" -> "/x.png";
        case "/loop" -> "/loop";
        case "/away" -> "http://127.0.0.1:" + port + "/x.png";
        case "/file" -> "file:///etc/passwd";
        case "/rubbish" -> "http://[";
        default -> null;
      };
      if (to != null) {
        exchange.getResponseHeaders().set("Location", to);
        exchange.sendResponseHeaders(302, -1);
      } else if (path.equals("/x.png")) {
        exchange.sendResponseHeaders(200, image.length);
        exchange.getResponseBody().write(image);
      } else {
        exchange.sendResponseHeaders(404, -1);
      }
      exchange.close();
    });
    host.start();
  }

  @AfterAll
  static void stop() {
    host.stop(0);
  }

  private static RemoteImages allowing(int maxBytes, boolean anyAddress) {
    return new RemoteImages(Set.of("localhost:" + port), maxBytes, anyAddress ? address -> true : PublicAddress::is);
  }

  private static String refusal(RemoteImages images, String url) {
    ApiError error = assertThrows(ApiError.class, () -> images.fetch("url", url));
    assertEquals(400, error.status());
    return error.getMessage();
  }

  @Test
  void fetchesFromANamedHost() {
    try (RemoteImages images = allowing(1 << 20, true)) {
      assertArrayEquals(image, images.fetch("url", "http://localhost:" + port + "/x.png"));
      assertArrayEquals(image, images.fetch("url", "http://LOCALHOST:" + port + "/moved"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"/away", "/file", "/rubbish", "/loop", "/nothing"})
  void followsNothingElse(String path) {
    try (RemoteImages images = allowing(1 << 20, true)) {
      assertTrue(refusal(images, "http://localhost:" + port + path).startsWith("url: is not fetched: "));
    }
  }

  @Test
  void otherHostsPortsAndFormsOfAddressesAreRefused() {
    int asked = ASKED.get();
    try (RemoteImages images = allowing(1 << 20, true); RemoteImages none = new RemoteImages(Set.of(), 1, address -> true)) {
      for (String url : new String[] {"http://127.0.0.1:" + port + "/x.png", "http://localhost/x.png", "http://[::1]:" + port + "/x.png",
          "http://user@localhost:" + port + "/x.png", "http://localhost:" + (port + 1) + "/x.png", "http:///x.png", "http://", "https:x",
          "http://localhost.evil.example:" + port + "/", "http://evil.example#@localhost:" + port + "/", "http://localhost:99999999/"}) {
        refusal(images, url);
      }
      assertTrue(refusal(none, "http://localhost:" + port + "/x.png").contains("fetches nothing"));
    }
    assertEquals(asked, ASKED.get());
  }

  /** A named host whose name leads to this machine, as after a rebinding: nothing is sent to it. */
  @Test
  void addressesThatAreNotPublicAreNotConnectedTo() {
    int asked = ASKED.get();
    try (RemoteImages images = allowing(1 << 20, false)) {
      assertTrue(refusal(images, "http://localhost:" + port + "/x.png").contains("cannot be reached"));
    }
    assertEquals(asked, ASKED.get());
  }

  /** A host that is named with its usual port is the host that an address without a port means. */
  @Test
  void theUsualPortMayBeNamedOrNot() {
    for (Set<String> named : List.of(Set.of("localhost"), Set.of("localhost:80"))) {
      try (RemoteImages images = new RemoteImages(named, 1, address -> false)) {
        for (String url : new String[] {"http://localhost/x.png", "http://LOCALHOST:80/x.png"}) {
          assertTrue(refusal(images, url).contains("cannot be reached"), "allowed, but its address is not public");
        }
        assertTrue(refusal(images, "http://localhost:81/x.png").contains("is not one that"));
      }
    }
  }

  @Test
  void largeFilesAreCutOff() {
    try (RemoteImages images = allowing(100, true)) {
      refusal(images, "http://localhost:" + port + "/x.png");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"127.0.0.1", "127.255.0.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
      "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.19.255.255",
      "198.51.100.7", "203.0.113.9", "224.0.0.1",
      "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12::3", "ff02::1", "::ffff:127.0.0.1", "::127.0.0.1",
      "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "2001:db8::1", "3fff::1", "fec0::1"})
  void privateAddresses(String address) throws IOException {
    assertFalse(PublicAddress.is(InetAddress.getByName(address)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.0.1.1", "198.17.0.1",
      "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1"})
  void publicAddresses(String address) throws IOException {
    assertTrue(PublicAddress.is(InetAddress.getByName(address)));
  }
}
