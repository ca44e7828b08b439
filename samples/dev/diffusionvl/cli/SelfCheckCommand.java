// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.bench.Bundled;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.util.RawValue;
import dev.diffusionvl.bench.Facts;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.Inspection;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.MemoryNeed;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code dvl selfcheck}: what an owner of a checkpoint can attach to a report. */
@Command(name = "selfcheck", description = "Says what a checkpoint is and whether all ways to run it here agree: a page to attach to a "
    + "report.", mixinStandardHelpOptions = true, showDefaultValues = true)
final class SelfCheckCommand implements Callable<Integer> {
  /** Part of their size by which logits in bf16 and f32 may differ. */
  static final double LOGITS = 0.1;

  private static final int DISAGREES = 1;
  private static final int CONTEXT = 2048; // tokens that memory is looked for

  @Parameters(paramLabel = "MODEL", description = "checkpoint folder")
  private Path model;

  @Option(names = "--json", paramLabel = "FILE", description = "write all of it as one JSON object")
  private Path json;

  @Option(names = "--image", paramLabel = "FILE", description = "Qwen's demo picture, a woman and a dog on a beach: its published answer "
      + "is looked for")
  private Path image;

  @Option(names = "--gen-length", paramLabel = "N", defaultValue = "32", description = "tokens of the answers that are compared")
  private int genLength;

  @Option(names = "--device", paramLabel = "D", description = "auto, gpu, gpu:N or emulated (default: auto, or -Ddvl.device)")
  private String device;

  @Override
  public Integer call() {
    DeviceSpec where = ModelChoice.device(device);
    if (genLength < 1) {
      throw new Dvl.UsageException("--gen-length is " + genLength + ", allowed is 1 or more");
    }
    if (json != null) {
      OutputFile.requireWritable(json);
    }
    if (image != null) {
      ImageFiles.read(image);
    }
    Path picture = Bundled.file("the fixed picture", "samples", "images", "square-and-cross.png");
    SelfCheckReport report = new SelfCheckReport();
    try (ModelFiles files = ModelFiles.open(model); Device gpu = Device.open(where)) {
      describe(report, files, gpu);
      SelfCheck checks = new SelfCheck(picture, image, genLength, report);
      for (DType type : List.of(DType.BF16, DType.F32)) {
        run(checks, report, files, gpu, type);
      }
    }
    System.out.print(report.page());
    if (json != null) {
      try (OutputFile file = OutputFile.open(json)) {
        file.write(MemorySegment.ofArray((report.toJson() + "\n").getBytes(StandardCharsets.UTF_8)));
        file.commit();
      }
    }
    return report.disagreements().isEmpty() ? 0 : DISAGREES;
  }

  private void describe(SelfCheckReport report, ModelFiles files, Device gpu) {
    ObjectNode all = report.json();
    all.put("version", Dvl.version());
    Facts facts = new Facts(gpu, "dvl selfcheck " + model);
    facts.addTo(all.putObject("machine").put("java", Runtime.version().toString()).put("processors", Runtime.getRuntime()
        .availableProcessors()).put("device_memory", gpu.memory().total()).put("device_memory_free", gpu.memory().free()));
    report.line("dvl %s, %s", Dvl.version(), facts.line());
    ObjectNode checkpoint = all.putObject("model").put("folder", model.toString());
    System.err.println("dvl: reading all files");
    var list = checkpoint.putArray("files");
    List<FileHash> hashes = FileHash.all(model);
    hashes.forEach(file -> list.addObject().put("name", file.name()).put("bytes", file.bytes()).put("sha256", file.sha256()));
    Inspection found = Inspection.of(model);
    checkpoint.putRawValue("inspection", new RawValue(found.toJson()));
    ModelConfig config = files.config();
    TextConfig text = config.text();
    checkpoint.putObject("shape").put("hidden_size", text.hiddenSize()).put("layers", text.layers()).put("heads", text.heads())
        .put("kv_heads", text.kvHeads()).put("intermediate_size", text.intermediateSize()).put("vocab_size", text.vocabSize())
        .put("tied", text.tieWordEmbeddings()).put("block_size", config.blockSize()).put("mask_token_id", config.maskTokenId());
    report.line("%s: %s, scheme %s, %s, %,d parameters in %,d bytes, %.2f bits per weight%s", model, found.family(),
        found.scheme().letter(), found.dtype(), found.parameters(), found.bytes(), found.bitsPerWeight(),
        found.formats().isEmpty() ? "" : ", " + found.formats());
    report.line("%d layers of %d, %d heads and %d of keys and values, intermediate %d, vocabulary %d", text.layers(), text.hiddenSize(),
        text.heads(), text.kvHeads(), text.intermediateSize(), text.vocabSize());
    hashes.forEach(file -> report.line("%s  %s  %,d bytes", file.sha256(), file.name(), file.bytes()));
    files.remarks().forEach(remark -> report.line("%s", remark));
    var remarks = checkpoint.putArray("remarks");
    files.remarks().forEach(remarks::add);
    report.check("all tensors are there", found.complete(), found.missing().size() + " missing, " + found.misshaped().size()
        + " misshaped, unexpected: " + found.unexpected());
  }

  private static void run(SelfCheck checks, SelfCheckReport report, ModelFiles files, Device gpu, DType type) {
    MemoryNeed need = MemoryNeed.of(files, type, Math.min(CONTEXT, files.config().text().maxPositionEmbeddings()));
    long free = gpu.memory().free();
    if (need.total() > free) {
      report.leftOut(type.suffix(), need + " are needed, %.1f GB are free".formatted(free / 1e9));
      return;
    }
    System.err.println("dvl: checking in " + type.suffix());
    try (DiffusionVl loaded = DiffusionVl.load(gpu, files, type, LoadBar.onTerminal())) {
      checks.run(files, loaded);
    }
  }
}
