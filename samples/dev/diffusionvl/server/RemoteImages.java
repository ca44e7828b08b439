// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import org.eclipse.jetty.client.CompletableResponseListener;
import org.eclipse.jetty.client.ContentResponse;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.util.Promise;
import org.eclipse.jetty.util.SocketAddressResolver;

/**
 * Fetches images from hosts that the server's owner has named. A connection is made to an address that was checked, so that a name that
 * resolves to something else the next time leads nowhere else; every redirect is checked like the first address.
 */
final class RemoteImages implements AutoCloseable {
  private static final int REDIRECTS = 3;
  private static final long SECONDS = 10;

  private final Set<String> hosts;
  private final int maxBytes;
  private final HttpClient client;

  /**
   * @param hosts {@code HOST} or {@code HOST:PORT}
   * @param reachable which addresses may be connected to: {@link PublicAddress#is}, but for tests
   */
  RemoteImages(Set<String> hosts, int maxBytes, Predicate<InetAddress> reachable) {
    this.hosts = hosts;
    this.maxBytes = maxBytes;
    client = hosts.isEmpty() ? null : client(reachable);
  }

  private static HttpClient client(Predicate<InetAddress> reachable) {
    HttpClient client = new HttpClient();
    client.setFollowRedirects(false);
    client.setConnectTimeout(TimeUnit.SECONDS.toMillis(SECONDS));
    client.setIdleTimeout(TimeUnit.SECONDS.toMillis(SECONDS));
    client.setMaxRequestsQueuedPerDestination(64);
    client.setUserAgentField(null);
    client.setSocketAddressResolver(new CheckedAddresses(reachable));
    try {
      client.start();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
    client.getContentDecoderFactories().clear(); // images are compressed already; what is packed again could unpack to anything
    return client;
  }

  /** Names to addresses, of which none may be forbidden. */
  private record CheckedAddresses(Predicate<InetAddress> reachable) implements SocketAddressResolver {
    @Override
    public void resolve(String host, int port, Map<String, Object> context, Promise<List<InetSocketAddress>> promise) {
      List<InetSocketAddress> addresses = new ArrayList<>();
      try {
        for (InetAddress address : InetAddress.getAllByName(host)) {
          if (!reachable.test(address)) {
            throw new UnknownHostException("its address is not public");
          }
          addresses.add(new InetSocketAddress(address, port));
        }
      } catch (UnknownHostException e) {
        promise.failed(e);
        return;
      }
      promise.succeeded(addresses);
    }
  }

  boolean allowed() {
    return client != null;
  }

  /** @param path of the field that holds the address */
  byte[] fetch(String path, String url) {
    URI address = checked(path, url);
    for (int i = 0; i <= REDIRECTS; i++) {
      ContentResponse response = get(path, address);
      String location = response.getHeaders().get(HttpHeader.LOCATION);
      if (response.getStatus() == 200) {
        return response.getContent();
      }
      if (response.getStatus() / 100 != 3 || location == null) {
        throw unfetched(path, "its host answered with status " + response.getStatus());
      }
      try {
        address = checked(path, address.resolve(location).toString());
      } catch (IllegalArgumentException e) {
        throw unfetched(path, "it is redirected to something that is no address");
      }
    }
    throw unfetched(path, "it is redirected more than " + REDIRECTS + " times");
  }

  private URI checked(String path, String url) {
    if (client == null) {
      throw unfetched(path, "this server fetches nothing; send the image as a data: URI");
    }
    URI address;
    try {
      address = new URI(url);
    } catch (URISyntaxException e) {
      throw unfetched(path, "it is no address");
    }
    boolean https = "https".equalsIgnoreCase(address.getScheme());
    if (!https && !"http".equalsIgnoreCase(address.getScheme()) || address.getHost() == null || address.getUserInfo() != null) {
      throw unfetched(path, "only plain http and https addresses are");
    }
    String host = address.getHost().toLowerCase(Locale.ROOT);
    int usual = https ? 443 : 80;
    int port = address.getPort() < 0 ? usual : address.getPort();
    if (!hosts.contains(host + ":" + port) && !(port == usual && hosts.contains(host))) {
      throw unfetched(path, "its host is not one that this server fetches images from");
    }
    return address;
  }

  private ContentResponse get(String path, URI address) {
    try {
      return new CompletableResponseListener(client.newRequest(address).timeout(SECONDS, TimeUnit.SECONDS), maxBytes).send()
          .get(2 * SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException | IllegalArgumentException e) {
      Throwable cause = e.getCause() != null ? e.getCause() : e;
      throw unfetched(path, switch (cause) {
        case UnknownHostException unknown -> "its host cannot be reached";
        case TimeoutException late -> "that took more than " + SECONDS + " s";
        case IllegalArgumentException large -> "it is larger than " + maxBytes + " bytes";
        default -> "its host cannot be reached, or does not answer as it should";
      });
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw ApiError.unavailable("the server is shutting down");
    }
  }

  private static ApiError unfetched(String path, String why) {
    return ApiError.invalid(path, "invalid_image_url", path + ": is not fetched: " + why);
  }

  @Override
  public void close() {
    if (client != null) {
      try {
        client.stop();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
