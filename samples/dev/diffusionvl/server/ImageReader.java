// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.RgbImage;
import java.util.Base64;
import java.util.Locale;
import java.util.concurrent.Semaphore;

/** Images of requests, from {@code data:} URIs or, where that is allowed, from other hosts. Safe for use by several threads. */
final class ImageReader {
  private static final int DECODER_BYTES = 24; // per pixel, at most: ImageFiles
  private static final int IMAGE_BYTES = 3; // per pixel

  private final ServerOptions.Limits limits;
  private final RemoteImages remote;
  private final Semaphore decoders;

  ImageReader(ServerOptions.Limits limits, RemoteImages remote) {
    this.limits = limits;
    this.remote = remote;
    long fit = Runtime.getRuntime().maxMemory() / 4 / (DECODER_BYTES * limits.imagePixels());
    decoders = new Semaphore((int) Math.clamp(fit, 1, Runtime.getRuntime().availableProcessors()));
  }

  /**
   * @param path of the field that holds the address
   * @param lease is charged for the image
   */
  RgbImage read(String path, String url, Budget.Lease lease) {
    if (url.regionMatches(true, 0, "data:", 0, 5)) {
      return charged(decode(path, data(path, url)), lease);
    }
    if (url.regionMatches(true, 0, "http:", 0, 5) || url.regionMatches(true, 0, "https:", 0, 6)) {
      lease.take(limits.bodyBytes()); // the most that may come, before it comes
      try {
        return charged(decode(path, remote.fetch(path, url)), lease);
      } finally {
        lease.giveBack(limits.bodyBytes());
      }
    }
    throw ApiError.invalid(path, "invalid_image_url", path + ": must be a data: URI of an image"
        + (remote.allowed() ? ", or an http(s) address of a host that this server fetches images from" : ""));
  }

  private static RgbImage charged(RgbImage image, Budget.Lease lease) {
    lease.take((long) IMAGE_BYTES * image.width() * image.height());
    return image;
  }

  private static byte[] data(String path, String url) {
    int comma = url.indexOf(',');
    String head = comma < 0 ? "" : url.substring(5, comma).toLowerCase(Locale.ROOT);
    if (!head.startsWith("image/") || !head.endsWith(";base64")) {
      throw ApiError.invalid(path, "invalid_image_url", path + ": must look like data:image/png;base64,…");
    }
    try {
      return Base64.getDecoder().decode(url.substring(comma + 1));
    } catch (IllegalArgumentException e) {
      throw ApiError.invalid(path, "invalid_base64_image", path + ": is not base64: " + e.getMessage());
    }
  }

  private RgbImage decode(String path, byte[] file) {
    decoders.acquireUninterruptibly();
    try {
      return ImageFiles.decode(file, path, limits.imagePixels());
    } catch (BadInputException e) {
      throw ApiError.invalid(path, "invalid_image", e.getMessage());
    } finally {
      decoders.release();
    }
  }
}
