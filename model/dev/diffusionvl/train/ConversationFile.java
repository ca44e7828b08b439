// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ForeignContent;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.Json;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;

/**
 * A file of records, mapped, of which only the places of the records are in memory. Each is parsed when it is asked for. Safe for use by
 * several threads until closed.
 */
final class ConversationFile implements AutoCloseable {
  /** Longest record that is read: far above any conversation, far below what a broken file could claim. */
  static final int MAX_RECORD_BYTES = 16 << 20;

  /** Bytes that are looked through for the id of a bad record. */
  private static final int BEGINNING = 4096;

  private static final long CHECKED_BYTES = 1 << 30;

  private static final JsonFactory FACTORY = new JsonFactory();

  private final Path file;
  private final Arena arena;
  private final MemorySegment data;
  private final RecordIndex index;

  private ConversationFile(Path file, Arena arena, MemorySegment data, RecordIndex index) {
    this.file = file;
    this.arena = arena;
    this.data = data;
    this.index = index;
  }

  /** @throws BadInputException if the file is missing or unreadable, holds no record, or is a list that cannot be taken apart */
  static ConversationFile open(Path file) {
    InputFiles.requireFile(file);
    Arena arena = Arena.ofShared(); // several threads read records
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      MemorySegment data = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
      ForeignContent.refuse(file, data.asSlice(0, Math.min(data.byteSize(), ForeignContent.HEAD_BYTES)).toArray(ValueLayout.JAVA_BYTE));
      RecordIndex index = RecordScan.scan(file, data);
      if (index.size() == 0) {
        throw BadInputException.of(file, "holds no records");
      }
      return new ConversationFile(file, arena, data, index);
    } catch (IOException e) {
      arena.close();
      throw InputFiles.failure(file, e);
    } catch (InternalError e) {
      arena.close();
      throw changed(file, e);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  Path file() {
    return file;
  }

  RecordIndex index() {
    return index;
  }

  /**
   * A record, parsed as {@link Json#tree} does it.
   *
   * @throws BadInputException if it is too long or not valid JSON
   */
  Object read(int record) {
    int length = index.length(record);
    if (length > MAX_RECORD_BYTES) {
      throw new BadInputException("is " + length + " bytes long, the limit is " + MAX_RECORD_BYTES);
    }
    try {
      return Json.tree(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes(record, length))).toString());
    } catch (CharacterCodingException e) {
      throw new BadInputException("not UTF-8 text", e);
    }
  }

  /** The id of a record that may be bad, if it stands near its beginning and before what is broken; else {@code absent}. */
  String idOf(int record, String absent) {
    byte[] beginning = bytes(record, Math.min(index.length(record), BEGINNING));
    try (JsonParser parser = FACTORY.createParser(new String(beginning, StandardCharsets.UTF_8))) {
      boolean object = parser.nextToken() == JsonToken.START_OBJECT;
      while (object && parser.nextToken() == JsonToken.FIELD_NAME) {
        boolean id = parser.currentName().equals("id");
        JsonToken value = parser.nextToken();
        if (id) {
          return value == JsonToken.VALUE_STRING || value.isNumeric() ? parser.getText() : absent;
        }
        parser.skipChildren();
      }
      return absent;
    } catch (JsonProcessingException e) {
      return absent;
    } catch (IOException e) {
      throw new UncheckedIOException(e); // the text is in memory
    }
  }

  private byte[] bytes(int record, int length) {
    byte[] bytes = new byte[length];
    try {
      MemorySegment.copy(data, ValueLayout.JAVA_BYTE, index.start(record), bytes, 0, length);
      return bytes;
    } catch (InternalError e) {
      throw changed(file, e);
    }
  }

  private static BadInputException changed(Path file, InternalError e) {
    return new BadInputException(file + ": became shorter while it was being read", e);
  }

  /** CRC-32C of all bytes. */
  long checksum() {
    CRC32C crc = new CRC32C();
    try {
      for (long at = 0; at < data.byteSize(); at += CHECKED_BYTES) {
        crc.update(data.asSlice(at, Math.min(CHECKED_BYTES, data.byteSize() - at)).asByteBuffer());
      }
    } catch (InternalError e) {
      throw changed(file, e);
    }
    return crc.getValue();
  }

  /** Unmaps the file. Idempotent. */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
