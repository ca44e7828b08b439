// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import org.junit.jupiter.api.Test;

class LoadBarTest {
  @Test
  void saysPartBytesAndRate() {
    assertEquals("weights [###############...............] 7.00 of 14.00 GB, 3.50 GB/s", LoadBar.line(7_000_000_000L, 14_000_000_000L, 2));
    assertEquals("weights [##############################] 0.00 of 0.00 GB, 0.00 GB/s", LoadBar.line(0, 0, 1));
  }

  @Test
  void aQuickLoadLeavesTheTerminalAlone() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    LoadBar bar = new LoadBar(new PrintStream(bytes));
    bar.onProgress(0, 100);
    bar.onProgress(50, 100);
    bar.onProgress(100, 100);
    assertEquals("", bytes.toString());
  }

  @Test
  void aLongLoadIsDrawnInOneLine() throws InterruptedException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    LoadBar bar = new LoadBar(new PrintStream(bytes));
    bar.onProgress(0, 100);
    Thread.sleep(450);
    bar.onProgress(50, 100);
    bar.onProgress(60, 100); // too soon after the last one
    bar.onProgress(100, 100);
    String drawn = bytes.toString();
    assertTrue(drawn.startsWith("\rweights [###############..."), drawn);
    assertTrue(drawn.endsWith("\n"), drawn);
    assertEquals(3, drawn.split("\r", -1).length, drawn);
  }
}
