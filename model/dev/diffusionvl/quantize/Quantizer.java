// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.CheckpointWriter;
import dev.diffusionvl.loader.CompressedTensors;
import dev.diffusionvl.loader.EncodedMatrix;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.SafetensorsWriter;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.quantize.QuantizeOptions.Format;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Writes a checkpoint with weights of 8 or 4 bits in the layout of compressed-tensors (docs/quantised-weights.md). The same files, options
 * and samples give the same bytes.
 */
public final class Quantizer {
  private static final String WEIGHT = ".weight";

  private final ModelFiles files;
  private final Checkpoint checkpoint;
  private final QuantizeOptions options;
  private final LayerSamples samples; // null: no model was run
  private final ErrorMeter meter; // null with samples
  private final Progress progress;
  private final List<String> remarks = new ArrayList<>();
  private final List<String> ignored = new ArrayList<>();
  private final Scaling scaling = new Scaling();

  /**
   * What was written.
   *
   * @param remarks what the user should know, a line each
   */
  public record Result(List<MatrixReport> matrices, List<String> remarks) {}

  private Quantizer(ModelFiles files, QuantizeOptions options, LayerSamples samples, ErrorMeter meter, Progress progress) {
    this.files = files;
    this.checkpoint = files.checkpoint();
    this.options = options;
    this.samples = samples;
    this.meter = meter;
    this.progress = progress;
  }

  /**
   * Refuses what cannot be quantised.
   *
   * @throws BadInputException naming the file and the field: weights that are quantised already, an output matrix that is none of its own
   */
  public static void require(ModelFiles files, QuantizeOptions options) {
    files.checkpoint().requireUnquantized("are small already: quantise the checkpoint that they were made from");
    if (options.head() && !shapes(files).containsKey(ModelShapes.LM_HEAD)) {
      throw BadInputException.of(files.directories().getFirst().resolve("config.json"), "tie_word_embeddings",
          "the output matrix is the embedding matrix, which stays as it is");
    }
  }

  private static Map<String, long[]> shapes(ModelFiles files) {
    return ModelShapes.of(files.config());
  }

  /**
   * Writes the folder.
   *
   * @param out must not exist; it is there as a whole or not at all
   * @param device makes the products that errors are measured by; null: without samples
   * @param samples of the model that the files hold; null: weights are rounded as they are
   * @throws BadInputException as {@link #require}; if the folder exists or cannot be made, or a weight is no finite number
   * @throws dev.diffusionvl.loader.OutputException if the disk is full; nothing is left then
   * @throws java.util.concurrent.CancellationException if the progress says so; nothing is left then
   */
  public static Result write(ModelFiles files, Path out, QuantizeOptions options, Device device, LayerSamples samples, Progress progress) {
    require(files, options);
    if (samples == null) {
      return new Quantizer(files, options, null, null, progress).write(out);
    }
    try (ErrorMeter meter = new ErrorMeter(device)) {
      return new Quantizer(files, options, samples, meter, progress).write(out);
    }
  }

  private Result write(Path out) {
    List<String> layers = layers();
    List<Site> sites = Site.of(files.config(), options.head()).stream()
        .filter(site -> layers.containsAll(site.layers()) && (site.before() == null || layers.contains(site.before()))).toList();
    if (options.format() == Format.INT4 && samples != null) {
      new ScaleSearch(files, options.group(), samples, meter).search(sites, scaling, progress);
    }
    Map<String, Site> siteOf = new LinkedHashMap<>();
    sites.forEach(site -> site.layers().forEach(layer -> siteOf.put(layer, site)));
    Map<String, EncodedMatrix> encoded = new LinkedHashMap<>();
    List<MatrixReport> reports = new ArrayList<>();
    for (String layer : layers) {
      progress.step("rounding", reports.size(), layers.size());
      reports.add(encode(layer, siteOf.get(layer), encoded));
    }
    progress.step("rounding", layers.size(), layers.size());
    List<SafetensorsWriter.Tensor> tensors = tensors(encoded);
    CheckpointWriter.write(out, List.of(files.directories().getFirst()), checkpoint.scheme(), watched(tensors),
        Map.of("quantization_config", options.format() == Format.FP8 ? CompressedTensors.fp8(ignored)
            : CompressedTensors.int4(options.group(), ignored)), SafetensorsWriter.SHARD_BYTES);
    return new Result(reports, List.copyOf(remarks));
  }

  /** The linear layers that are encoded, by canonical names in the order of the network; notes the others. */
  private List<String> layers() {
    List<String> layers = new ArrayList<>();
    List<String> odd = new ArrayList<>();
    shapes(files).forEach((name, shape) -> {
      boolean table = name.equals(ModelShapes.EMBEDDING) || name.contains("position_embedding");
      if (!name.endsWith(WEIGHT) || shape.length != 2 || table) {
        return;
      }
      String layer = name.substring(0, name.length() - WEIGHT.length());
      boolean wanted = name.startsWith("layers.") || (name.equals(ModelShapes.LM_HEAD) ? options.head() : options.vision());
      boolean fits = options.format() == Format.FP8 || shape[1] % options.group() == 0;
      if (wanted && fits) {
        layers.add(layer);
      } else {
        ignored.add(inFile(layer));
      }
      if (wanted && !fits) {
        odd.add(inFile(layer) + " (" + shape[1] + ")");
      }
    });
    if (layers.isEmpty()) {
      throw new BadInputException("group " + options.group() + ": no matrix has a multiple of it as inputs: " + odd.getFirst());
    }
    if (!odd.isEmpty()) {
      remarks.add(odd.size() + " matrices stay as they are, since their inputs are no multiple of " + options.group() + ": "
          + odd.stream().limit(3).collect(Collectors.joining(", ")) + (odd.size() > 3 ? ", …" : ""));
    }
    return layers;
  }

  private String inFile(String layer) {
    String name = checkpoint.scheme().nameInFile(layer + WEIGHT);
    return name.substring(0, name.length() - WEIGHT.length());
  }

  private MatrixReport encode(String layer, Site site, Map<String, EncodedMatrix> encoded) {
    ScaledRows rows = new ScaledRows(files.directories().getFirst(), checkpoint.tensor(layer + WEIGHT), scaling.columns().get(layer),
        scaling.divisors().get(layer));
    int out = rows.out();
    int in = rows.in();
    boolean seen = site != null && samples != null && samples.count(site.layer(), site.place()) > 0;
    float[] x = seen ? samples.values(site.layer(), site.place()) : null;
    EncodedMatrix matrix = options.format() == Format.FP8 ? EncodedMatrix.fp8(layer, out, in, rows)
        : EncodedMatrix.int4(layer, out, in, options.group(), rows,
            seen ? ScaleSearch.importance(LayerSamples.meanSquare(x, in), rows.columns()) : null);
    encoded.put(layer, matrix);
    EncodedMatrix.Rows loss = rows.loss(matrix);
    double weights = relative(ErrorMeter.squares(out, in, loss), ErrorMeter.squares(out, in, rows::plain));
    double outputs = Double.NaN;
    if (seen) {
      try (DeviceBuffer onDevice = meter.upload(x, in)) {
        outputs = relative(meter.productSquares(out, in, loss, onDevice), meter.productSquares(out, in, rows::plain, onDevice));
      }
    }
    return new MatrixReport(inFile(layer), out, in, scaling.exponents().getOrDefault(layer, 0.0), weights, outputs);
  }

  private static double relative(double lost, double whole) {
    return whole == 0 ? 0 : Math.sqrt(lost / whole);
  }

  /** All tensors of the new checkpoint by canonical names, in the order of the old one. */
  private List<SafetensorsWriter.Tensor> tensors(Map<String, EncodedMatrix> encoded) {
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    for (String name : checkpoint.names()) {
      TensorView view = checkpoint.tensor(name);
      EncodedMatrix matrix = name.endsWith(WEIGHT) ? encoded.get(name.substring(0, name.length() - WEIGHT.length())) : null;
      float[] values = scaling.vectors().get(name);
      if (matrix != null) {
        tensors.addAll(matrix.tensors());
      } else {
        tensors.add(values != null ? StoredVector.of(name, view, values)
            : SafetensorsWriter.Tensor.of(name, view.type(), view.shape(), view.data()));
      }
    }
    return tensors;
  }

  /** The same tensors, whose writing is heard of. */
  private List<SafetensorsWriter.Tensor> watched(List<SafetensorsWriter.Tensor> tensors) {
    int[] written = new int[1];
    return tensors.stream().map(tensor -> new SafetensorsWriter.Tensor(tensor.name(), tensor.type(), tensor.shape(), file -> {
      progress.step("writing", written[0]++, tensors.size());
      tensor.data().writeTo(file);
      checkpoint.requireWhole(); // of a file that became shorter meanwhile the rest reads as zeros
    })).toList();
  }
}
