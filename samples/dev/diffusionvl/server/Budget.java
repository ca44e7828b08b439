// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import java.util.concurrent.atomic.AtomicLong;

/** Memory of the host that all requests in work share for their bodies and images, so that many large ones cannot exhaust it. */
final class Budget {
  private final AtomicLong free;

  Budget(long bytes) {
    free = new AtomicLong(bytes);
  }

  long free() {
    return free.get();
  }

  Lease lease() {
    return new Lease();
  }

  /** What one request has taken. For one thread; idempotent close gives it back. */
  final class Lease implements AutoCloseable {
    private long taken;

    /** @throws ApiError 429, when so much is not free now */
    void take(long bytes) {
      if (free.addAndGet(-bytes) < 0) {
        free.addAndGet(bytes);
        throw ApiError.busy("the requests in work take all the memory that is set aside for bodies and images");
      }
      taken += bytes;
    }

    void giveBack(long bytes) {
      taken -= bytes;
      free.addAndGet(bytes);
    }

    @Override
    public void close() {
      giveBack(taken);
    }
  }
}
