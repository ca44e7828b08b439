// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import java.time.Duration;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * How a {@link ChatServer} serves.
 *
 * @param host name or address to listen on
 * @param port 1 to 65535, or 0 for any free one
 * @param modelName how clients call the model
 * @param keys what clients must know; {@link ApiKeys#NONE}: nothing
 * @param imageHosts hosts that images may be fetched from, each {@code HOST} or {@code HOST:PORT}
 * @param limits of what a client may send
 */
public record ServerOptions(String host, int port, String modelName, ApiKeys keys, Set<String> imageHosts, Limits limits) {
  public ServerOptions {
    imageHosts = imageHosts.stream().map(name -> name.toLowerCase(Locale.ROOT)).collect(Collectors.toUnmodifiableSet());
  }

  /**
   * Bounds on what a stranger may send.
   *
   * @param bodyBytes of a request's body, and of an image that is fetched
   * @param images in a request
   * @param imagePixels of one image
   * @param textChars of all messages of a request
   * @param choices {@code n}
   * @param defaultTokens length of an answer whose request names none, if so many fit
   * @param connections open at the same time; further ones wait to be accepted
   * @param idle how long a connection may stay without a whole request, and a write without progress
   * @param body how long a body may take to arrive
   * @param request how long an answer may take from its submission
   */
  public record Limits(int bodyBytes, int images, long imagePixels, int textChars, int choices, int defaultTokens, int connections,
      Duration idle, Duration body, Duration request) {
    public static final Limits DEFAULTS = new Limits(32 << 20, 8, 25_000_000, 1_000_000, 16, 512, 1024, Duration.ofSeconds(30),
        Duration.ofSeconds(60), Duration.ofSeconds(600));

    public Limits {
      require(bodyBytes >= 1024 && bodyBytes <= 256 << 20, "max-body-bytes", bodyBytes, "1024 to 268435456");
      require(images >= 0 && images <= 64, "max-images", images, "0 to 64");
      require(imagePixels >= 1 && imagePixels <= 178_956_970, "max-image-pixels", imagePixels, "1 to 178956970");
      require(defaultTokens >= 1, "default-max-tokens", defaultTokens, "1 or more");
      require(connections >= 1 && connections <= 1 << 16, "max-connections", connections, "1 to 65536");
      require(request.isPositive(), "request-timeout", request.toSeconds(), "1 or more");
    }

    private static void require(boolean ok, String name, Object value, String allowed) {
      if (!ok) {
        throw new IllegalArgumentException(name + " is " + value + ", allowed is " + allowed);
      }
    }
  }
}
