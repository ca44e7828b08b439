// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.loader.OutputFolder;
import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Parameter;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/**
 * What a frozen vision tower makes of images, kept in a folder, so that an image goes through the tower once. The entry of an image is
 * found by a digest of all that it follows from: weights and sizes of the tower, the type and the device that it computes with, and the
 * prepared pixels. So it has the bits that the tower would give. Kernels are not part of the digest: a folder serves one version of the
 * program.
 *
 * <pre>
 *   entry   8 bytes "DVLFEAT1", 32 bytes digest, 8 bytes CRC-32C of what follows, the tower's output as it is on the device
 * </pre>
 *
 * <p>An entry is whole or not there. One that is damaged, or is another's under this name, is remarked on and replaced. Several runs may
 * use a folder at the same time. In memory there is one entry at a time. For one thread at a time.
 */
final class FeatureCache {
  private static final byte[] MAGIC = "DVLFEAT1".getBytes(StandardCharsets.US_ASCII);
  private static final int DIGEST_BYTES = 32;
  private static final int HEAD_BYTES = MAGIC.length + DIGEST_BYTES + Long.BYTES;
  private static final int PIECE_BYTES = 1 << 20;

  private final Path folder;
  private final Stream stream;
  private final Consumer<String> remarks;
  private final byte[] tower;

  /**
   * @param folder is made if it is not there
   * @param stream that entries are copied on
   * @param remarks hears of entries that cannot be used
   * @throws dev.diffusionvl.loader.BadInputException if there can be no such folder
   */
  FeatureCache(Path folder, DiffusionVl model, Stream stream, Consumer<String> remarks) {
    OutputFolder.make(folder);
    this.folder = folder;
    this.stream = stream;
    this.remarks = remarks;
    this.tower = digest(model);
  }

  /** Of the tower, the type and the device. */
  private byte[] digest(DiffusionVl model) {
    MessageDigest sha = sha();
    sha.update((sizes(model.config()) + " " + model.dtype() + " " + stream.device().name()).getBytes(StandardCharsets.UTF_8));
    Set<Integer> buffers = new LinkedHashSet<>();
    for (Parameter entry : model.parameters().entries()) {
      if (TrainedPart.of(entry.name()) == TrainedPart.VISION) {
        sha.update((entry.name() + Arrays.toString(entry.shape())).getBytes(StandardCharsets.UTF_8));
        buffers.add(entry.buffer());
      }
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment piece = arena.allocate(PIECE_BYTES, 16);
      for (int number : buffers) {
        DeviceBuffer weight = model.parameters().buffers().get(number);
        long each = PIECE_BYTES / weight.dtype().bytes();
        for (long at = 0; at < weight.elements(); at += each) {
          long count = Math.min(each, weight.elements() - at);
          MemorySegment part = piece.asSlice(0, count * weight.dtype().bytes());
          stream.download(weight.slice(at, count), part);
          sha.update(part.asByteBuffer());
        }
      }
    }
    return sha.digest();
  }

  /** What the shapes of the weights do not tell of the tower. */
  private static String sizes(ModelConfig config) {
    return switch (config.family()) {
      case QWEN_VL -> {
        VisionConfig c = config.vision();
        yield List.of(c.heads(), c.patchSize(), c.temporalPatchSize(), c.spatialMergeSize(), c.windowSize(),
            new TreeSet<>(c.fullAttentionBlocks())).toString();
      }
      case QWEN_SIGLIP -> {
        SigLipConfig c = config.sigLip();
        yield List.of(c.heads(), c.patchSize(), c.imageSize(), c.layerNormEps()).toString();
      }
      case QWEN_TEXT -> throw new IllegalArgumentException("a language model alone has no tower");
    };
  }

  /**
   * Fills a buffer with what the tower makes of some pixels.
   *
   * @param pixels as the tower takes them
   * @param from the first value that counts
   * @param to one past the last
   * @param shape what else the tower is told of them
   * @param output to be filled, to its last element
   * @param compute fills it by the tower
   */
  void fill(float[] pixels, int from, int to, String shape, DeviceBuffer output, Runnable compute) {
    byte[] key = key(pixels, from, to, shape);
    String name = HexFormat.of().formatHex(key);
    Path file = folder.resolve(name.substring(0, 2)).resolve(name.substring(2) + ".features");
    if (!read(file, key, output)) {
      compute.run();
      write(file, key, output);
    }
  }

  private byte[] key(float[] pixels, int from, int to, String shape) {
    MessageDigest sha = sha();
    sha.update(tower);
    sha.update(shape.getBytes(StandardCharsets.UTF_8));
    byte[] piece = new byte[PIECE_BYTES];
    for (int at = from; at < to; at += PIECE_BYTES / Float.BYTES) {
      int bytes = Math.min(PIECE_BYTES, (to - at) * Float.BYTES);
      ByteBuffer.wrap(piece).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(pixels, at, bytes / Float.BYTES);
      sha.update(piece, 0, bytes);
    }
    return sha.digest();
  }

  /** False if there is no entry that can be used. */
  private boolean read(Path file, byte[] key, DeviceBuffer output) {
    try (FileChannel channel = FileChannel.open(file); Arena arena = Arena.ofConfined()) {
      String fault = "has " + channel.size() + " bytes in place of " + (HEAD_BYTES + output.bytes());
      if (channel.size() == HEAD_BYTES + output.bytes()) {
        MemorySegment entry = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
        MemorySegment content = entry.asSlice(HEAD_BYTES);
        if (MemorySegment.ofArray(head(key, content)).mismatch(entry.asSlice(0, HEAD_BYTES)) < 0) {
          stream.upload(content, output);
          return true;
        }
        fault = "is damaged, or no entry of this image";
      }
      remarks.accept(file + " " + fault + ": written anew");
      return false;
    } catch (NoSuchFileException e) {
      return false;
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    }
  }

  private void write(Path file, byte[] key, DeviceBuffer output) {
    if (!Files.isDirectory(file.getParent())) {
      OutputFolder.make(file.getParent());
    }
    try (Arena arena = Arena.ofConfined(); OutputFile out = OutputFile.create(file)) {
      MemorySegment content = arena.allocate(output.bytes(), 16);
      stream.download(output, content);
      out.write(MemorySegment.ofArray(head(key, content)));
      out.write(content);
      out.commit();
    }
  }

  private static byte[] head(byte[] key, MemorySegment content) {
    CRC32C crc = new CRC32C();
    crc.update(content.asByteBuffer());
    return ByteBuffer.allocate(HEAD_BYTES).order(ByteOrder.LITTLE_ENDIAN).put(MAGIC).put(key).putLong(crc.getValue()).array();
  }

  private static MessageDigest sha() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
