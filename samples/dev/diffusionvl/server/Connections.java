// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.eclipse.jetty.io.Connection;
import org.eclipse.jetty.io.EndPoint;

/**
 * Closes connections whose time is over: one that has shown no whole head of a request, and one whose answer is not taken. The server's own
 * idle time is too patient with a client that sends or takes a byte now and then.
 */
final class Connections implements Connection.Listener {
  private final long idle;
  private final Map<EndPoint, Long> ends = new ConcurrentHashMap<>(); // by System.nanoTime()

  Connections(Duration idle) {
    this.idle = idle.toNanos();
  }

  @Override
  public void onOpened(Connection connection) {
    ends.put(connection.getEndPoint(), System.nanoTime() + idle);
  }

  @Override
  public void onClosed(Connection connection) {
    ends.remove(connection.getEndPoint());
  }

  /** The connection waits for a request from now on. */
  void waits(EndPoint connection) {
    ends.replace(connection, System.nanoTime() + idle); // unless it was closed meanwhile
  }

  /** The connection has a request, which has this long to be answered. */
  void answers(EndPoint connection, Duration time) {
    ends.replace(connection, System.nanoTime() + time.toNanos());
  }

  int count() {
    return ends.size();
  }

  /** To be called now and then. */
  void sweep() {
    long now = System.nanoTime();
    ends.forEach((connection, end) -> {
      if (now - end > 0) {
        connection.close();
      }
    });
  }
}
