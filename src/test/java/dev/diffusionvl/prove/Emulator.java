// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Optional;

/**
 * The emulated device's test hooks (cuda/emulator/core/test_hooks.cpp): options, findings and launched kernels. There before the first
 * {@link dev.diffusionvl.runtime.Device} is opened on it; absent on a GPU.
 */
public final class Emulator {
  private static final int CAPACITY = 1 << 20;

  private Emulator() {}

  /** True when this process runs on the emulated device. */
  public static boolean present() {
    return find("dvl_emulator_is_check_build").isPresent();
  }

  /** True when every memory access of a kernel is inspected. */
  public static boolean checkBuild() {
    return present() && (int) call(FunctionDescriptor.of(ValueLayout.JAVA_INT), "dvl_emulator_is_check_build") != 0;
  }

  /** Sets options as DVL_EMULATOR does, e.g. {@code sched=rand,cp=rand,preempt=50,seed=7}. */
  public static void set(String options) {
    try (Arena arena = Arena.ofConfined()) {
      call(FunctionDescriptor.ofVoid(ValueLayout.ADDRESS), "dvl_emulator_set_options", arena.allocateFrom(options));
    }
  }

  /** What the detectors found since the last call: kernel, block, thread, file:line and what is wrong. */
  public static List<String> takeFindings() {
    return lines("dvl_emulator_take_reports");
  }

  /** The kernels launched since the last call, e.g. {@code remask.cu remask}. */
  public static List<String> takeLaunched() {
    // Compilers do not agree on whether the folder is part of a file's name.
    return lines("dvl_emulator_take_launched").stream().map(kernel -> kernel.replaceFirst("^cuda/", "")).toList();
  }

  /** Keeps a journal of what runs on the device from now on, or no more. Either way it begins empty. */
  public static void keepJournal(boolean on) {
    call(FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT), "dvl_emulator_keep_journal", on ? 1 : 0);
  }

  /**
   * What ran on the device since the last call, in order. A kernel: {@code name grid x y z block x y z shared bytes}. A product of cuBLAS:
   * {@code call ops a b m M n N k K products P result HASH}.
   */
  public static List<String> takeJournal() {
    return lines("dvl_emulator_take_journal");
  }

  /** Has the {@code n}-th creation of memory or of a handle fail, counted from now on; 0: none. */
  public static void failCreation(long n) {
    call(FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG), "dvl_emulator_fail_creation", n);
  }

  /** Creations since {@link #failCreation}. */
  public static long creations() {
    return (long) call(FunctionDescriptor.of(ValueLayout.JAVA_LONG), "dvl_emulator_creations");
  }

  /** What has been created and not destroyed: {@code kind count}. */
  public static List<String> createdObjects() {
    return lines("dvl_emulator_created_objects");
  }

  /** Bytes of device memory that is still allocated; adds a finding when there are any. */
  public static long reportLeaks() {
    return (long) call(FunctionDescriptor.of(ValueLayout.JAVA_LONG), "dvl_emulator_report_leaks");
  }

  /** How many rows of ldmatrix had to wait for another row's banks since the last call. */
  public static long takeLdmatrixConflicts() {
    return (long) call(FunctionDescriptor.of(ValueLayout.JAVA_LONG), "dvl_emulator_take_ldmatrix_conflicts");
  }

  private static List<String> lines(String function) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment text = arena.allocate(CAPACITY);
      call(FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG), function, text, (long) CAPACITY);
      return text.getString(0).lines().toList();
    }
  }

  private static Optional<MemorySegment> find(String function) {
    try {
      return SymbolLookup.libraryLookup("libcuda.so.1", Arena.global()).find(function); // the loaded one
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  private static Object call(FunctionDescriptor type, String function, Object... arguments) {
    MemorySegment address = find(function).orElseThrow(() -> new IllegalStateException("not the emulated device: no " + function));
    MethodHandle handle = Linker.nativeLinker().downcallHandle(address, type);
    try {
      return handle.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new IllegalStateException(function, e);
    }
  }
}
