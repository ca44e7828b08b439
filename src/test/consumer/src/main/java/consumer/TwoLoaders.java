// SPDX-License-Identifier: Apache-2.0
package consumer;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The library twice in one process, as two applications of a server have it: {@code TwoLoaders MODEL IMAGE JAR...} Each description is
 * a line: of the first copy, of the second, and of both at once, after the second has been loaded.
 */
public final class TwoLoaders {
  private TwoLoaders() {}

  public static void main(String[] args) throws Throwable {
    List<URL> jars = new ArrayList<>();
    for (int i = 2; i < args.length; i++) {
      jars.add(Path.of(args[i]).toUri().toURL());
    }
    try (URLClassLoader one = loader(jars); URLClassLoader two = loader(jars); ExecutorService pool = Executors.newFixedThreadPool(2)) {
      MethodHandle first = describe(one);
      MethodHandle second = describe(two);
      if (one.loadClass("dev.diffusionvl.runtime.Device") == two.loadClass("dev.diffusionvl.runtime.Device")) {
        throw new AssertionError("the class loaders share the library");
      }
      System.out.println((String) first.invokeExact(args[0], args[1]));
      System.out.println((String) second.invokeExact(args[0], args[1]));
      for (Future<?> text : List.of(pool.submit(() -> print(first, args)), pool.submit(() -> print(second, args)))) {
        text.get();
      }
    }
  }

  private static void print(MethodHandle describe, String[] args) {
    try {
      System.out.println((String) describe.invokeExact(args[0], args[1]));
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static URLClassLoader loader(List<URL> jars) {
    return new URLClassLoader(jars.toArray(URL[]::new), ClassLoader.getPlatformClassLoader());
  }

  private static MethodHandle describe(ClassLoader loader) throws ReflectiveOperationException {
    return MethodHandles.publicLookup().findStatic(loader.loadClass("consumer.Describe"), "describe",
        MethodType.methodType(String.class, String.class, String.class));
  }
}
