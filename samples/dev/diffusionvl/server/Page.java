// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import java.io.IOException;
import java.io.InputStream;
import java.util.Map;

/** The page at {@code /}: files of the jar, which ask for nothing from elsewhere. */
final class Page {
  private static final Map<String, String> TYPES = Map.of(
      "index.html", "text/html; charset=utf-8",
      "page.css", "text/css; charset=utf-8",
      "page.js", "text/javascript; charset=utf-8",
      "icon.svg", "image/svg+xml");
  private static final String POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
      + "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

  private Page() {}

  /** Whether there is a file of the page at a path of the server. */
  static boolean has(String path) {
    return TYPES.containsKey(name(path));
  }

  static void send(Exchange exchange) throws IOException {
    String name = name(exchange.path());
    exchange.put("Content-Security-Policy", POLICY);
    exchange.put("Referrer-Policy", "no-referrer");
    exchange.put("Cache-Control", "no-cache");
    try (InputStream in = Page.class.getResourceAsStream("page/" + name)) {
      exchange.send(200, TYPES.get(name), in.readAllBytes());
    }
  }

  private static String name(String path) {
    return path.equals("/") ? "index.html" : path.substring(1);
  }
}
