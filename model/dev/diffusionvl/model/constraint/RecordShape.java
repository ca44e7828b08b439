// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.Json;
import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Java records as JSON: the schema of a record type, and a record from what Jackson's parser reads of a text that is valid under it. */
public final class RecordShape {
  private static final Map<Class<?>, long[]> INTEGERS = Map.of(
      byte.class, new long[] {Byte.MIN_VALUE, Byte.MAX_VALUE}, Byte.class, new long[] {Byte.MIN_VALUE, Byte.MAX_VALUE},
      short.class, new long[] {Short.MIN_VALUE, Short.MAX_VALUE}, Short.class, new long[] {Short.MIN_VALUE, Short.MAX_VALUE},
      int.class, new long[] {Integer.MIN_VALUE, Integer.MAX_VALUE}, Integer.class, new long[] {Integer.MIN_VALUE, Integer.MAX_VALUE},
      long.class, new long[] {Long.MIN_VALUE, Long.MAX_VALUE}, Long.class, new long[] {Long.MIN_VALUE, Long.MAX_VALUE});

  private RecordShape() {}

  /** A JSON schema as a tree. @throws IllegalArgumentException naming a component that has none */
  static Map<String, Object> schema(Class<? extends Record> type) {
    return schema(type, type.getSimpleName(), 8);
  }

  private static Map<String, Object> schema(Type type, String place, int depth) {
    if (depth == 0) {
      throw new IllegalArgumentException(place + ": records nested deeper than 8, or in themselves");
    }
    Class<?> raw = raw(type);
    if (raw.isRecord()) {
      Map<String, Object> properties = new LinkedHashMap<>();
      List<String> required = new ArrayList<>();
      for (RecordComponent c : raw.getRecordComponents()) {
        boolean optional = c.getType() == Optional.class;
        properties.put(c.getName(), schema(optional ? argument(c.getGenericType()) : c.getGenericType(), place + "." + c.getName(),
            depth - 1));
        if (!optional) {
          required.add(c.getName());
        }
      }
      return ordered("type", "object", "properties", properties, "required", required, "additionalProperties", false);
    }
    if (raw == List.class || raw.isArray()) {
      Type item = raw.isArray() ? raw.getComponentType() : argument(type);
      return ordered("type", "array", "items", schema(item, place + "[]", depth - 1));
    }
    if (raw.isEnum()) {
      return ordered("enum", Arrays.stream(raw.getEnumConstants()).map(e -> ((Enum<?>) e).name()).toList());
    }
    if (INTEGERS.containsKey(raw)) {
      return ordered("type", "integer", "minimum", INTEGERS.get(raw)[0], "maximum", INTEGERS.get(raw)[1]);
    }
    String name = raw == String.class ? "string" : raw == boolean.class || raw == Boolean.class ? "boolean"
        : raw == double.class || raw == Double.class || raw == float.class || raw == Float.class ? "number" : null;
    if (name == null) {
      throw new IllegalArgumentException(place + " is a " + type.getTypeName()
          + ", which no constraint can be derived from: components are strings, numbers, booleans, enums, records, lists "
          + "and arrays of such, and Optionals");
    }
    return ordered("type", name);
  }

  private static Map<String, Object> ordered(Object... entries) {
    Map<String, Object> map = new LinkedHashMap<>();
    for (int i = 0; i < entries.length; i += 2) {
      map.put((String) entries[i], entries[i + 1]);
    }
    return map;
  }

  private static Class<?> raw(Type type) {
    return switch (type) {
      case Class<?> c -> c;
      case ParameterizedType p -> (Class<?>) p.getRawType();
      default -> Object.class;
    };
  }

  private static Type argument(Type type) {
    return type instanceof ParameterizedType p ? p.getActualTypeArguments()[0] : Object.class;
  }

  /**
   * A record from its JSON.
   *
   * @throws dev.diffusionvl.loader.BadInputException if the text is not JSON
   * @throws IllegalArgumentException if it is not the JSON of such a record, naming the place
   */
  public static <R extends Record> R read(String json, Class<R> type) {
    return type.cast(value(Json.tree(json), type, type.getSimpleName()));
  }

  private static Object value(Object tree, Type type, String place) {
    Class<?> raw = raw(type);
    if (raw == Optional.class) {
      return tree == null ? Optional.empty() : Optional.of(value(tree, argument(type), place));
    }
    return switch (tree) {
      case Map<?, ?> map when raw.isRecord() -> ofMap(map, raw, place);
      case List<?> list when raw == List.class -> list.stream().map(item -> value(item, argument(type), place + "[]")).toList();
      case List<?> list when raw.isArray() -> {
        Object array = Array.newInstance(raw.getComponentType(), list.size());
        for (int i = 0; i < list.size(); i++) {
          Array.set(array, i, value(list.get(i), raw.getComponentType(), place + "[]"));
        }
        yield array;
      }
      case String text when raw == String.class -> text;
      case String text when raw.isEnum() -> Arrays.stream(raw.getEnumConstants()).filter(e -> ((Enum<?>) e).name().equals(text)).findFirst()
          .orElseThrow(() -> unfit(place, text));
      case Boolean b when raw == boolean.class || raw == Boolean.class -> b;
      case Number n when raw == double.class || raw == Double.class -> n.doubleValue();
      case Number n when raw == float.class || raw == Float.class -> n.floatValue();
      case Long n when INTEGERS.containsKey(raw) && n >= INTEGERS.get(raw)[0] && n <= INTEGERS.get(raw)[1] -> narrow(n, raw);
      case null, default -> throw unfit(place, tree);
    };
  }

  private static IllegalArgumentException unfit(String place, Object value) {
    return new IllegalArgumentException(place + " cannot be " + value);
  }

  private static Object narrow(long n, Class<?> type) {
    return type == long.class || type == Long.class ? (Object) n : type == int.class || type == Integer.class ? (Object) (int) n
        : type == short.class || type == Short.class ? (Object) (short) n : (Object) (byte) n;
  }

  private static Object ofMap(Map<?, ?> map, Class<?> type, String place) {
    RecordComponent[] components = type.getRecordComponents();
    Object[] values = new Object[components.length];
    for (int i = 0; i < components.length; i++) {
      values[i] = value(map.get(components[i].getName()), components[i].getGenericType(), place + "." + components[i].getName());
    }
    try {
      Constructor<?> constructor = type.getDeclaredConstructor(Arrays.stream(components).map(RecordComponent::getType)
          .toArray(Class<?>[]::new));
      constructor.setAccessible(true);
      return constructor.newInstance(values);
    } catch (InvocationTargetException e) {
      throw new IllegalArgumentException(place + ": " + e.getCause().getMessage(), e.getCause());
    } catch (ReflectiveOperationException e) {
      throw new IllegalArgumentException(place + ": " + e.getMessage(), e);
    }
  }
}
