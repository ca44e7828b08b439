// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.oracle.AttentionOracle;
import dev.diffusionvl.oracle.CodedRows;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.Segments;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A pass through attention: random queries and cache, segments over them; its result by a kernel, and in float64. */
final class AttentionPass {
  /** Where parameterised tests get {@link Form#all} from. */
  static final String FORMS = "dev.diffusionvl.runtime.op.AttentionPass$Form#all";

  /** The kernels: plain f32, and bf16 and f16 without and with the keys split over blocks; keys and values in 8 bits. */
  enum Form {
    F32(DType.F32, 3e-6),
    BF16(DType.BF16, 4e-3),
    BF16_SPLIT(DType.BF16, 4e-3),
    F16(DType.F16, 5e-4),
    F16_SPLIT(DType.F16, 5e-4),
    BF16_FP8(DType.BF16, 4e-3),
    BF16_FP8_SPLIT(DType.BF16, 4e-3),
    F16_FP8(DType.F16, 5e-4),
    F16_FP8_SPLIT(DType.F16, 5e-4);

    /** Those of the types that a test runs in. */
    static Stream<Form> all() {
      return Stream.of(values()).filter(form -> List.of(OpTest.FLOATS).contains(form.dtype));
    }

    /** Those whose blocks share the keys. */
    boolean split() {
      return name().endsWith("SPLIT");
    }

    /** Those that read codes. */
    boolean coded() {
      return name().contains("FP8");
    }

    /** Whether there is a kernel for heads of so many dimensions. */
    boolean takes(int dim) {
      return !coded() || dim == KeyValues.CODED_DIM;
    }

    /** Dimensions of a head that there is a kernel for. */
    int dim(int usual) {
      return coded() ? KeyValues.CODED_DIM : usual;
    }

    final DType dtype;
    final double tolerance;

    Form(DType dtype, double tolerance) {
      this.dtype = dtype;
      this.tolerance = tolerance;
    }
  }

  /** rows, slot of the first, context begin and end, what a row sees of its own part. */
  record Part(int rows, int slot, int contextBegin, int contextEnd, Segments.Own own) {}

  private final OpTest test;
  private final DType dtype;
  private final boolean coded;
  private final int heads;
  private final int kvHeads;
  private final int dim;
  private final int slots;
  final float[] q;
  final float[] k;
  final float[] v;
  private KeyValues kept; // on the device, made of
  private float[] keptK;
  private float[] keptV;

  /** @param rows rows that queries are drawn for */
  AttentionPass(OpTest test, Form form, int heads, int kvHeads, int dim, int slots, int rows) {
    this.test = test;
    this.dtype = form.dtype;
    this.coded = form.coded();
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.dim = dim;
    this.slots = slots;
    q = test.normal(dtype, rows * heads * dim, 1);
    k = test.normal(dtype, kvHeads * slots * dim, 1);
    v = test.normal(dtype, kvHeads * slots * dim, 1);
    if (coded) { // what is stored, so that results are compared with nothing else
      for (float[] cache : new float[][] {k, v}) {
        for (int i = 0; i < cache.length; i++) {
          cache[i] = Math.scalb(cache[i], i / dim * 7 % 3 - 1); // a row has another scale than the next
        }
        new CodedRows(cache, dim).decode(cache);
      }
    }
  }

  private AttentionPass(AttentionPass other, Form form) {
    test = other.test;
    dtype = form.dtype;
    coded = form.coded();
    heads = other.heads;
    kvHeads = other.kvHeads;
    dim = other.dim;
    slots = other.slots;
    q = other.q;
    k = other.k;
    v = other.v;
  }

  /** The same numbers for another form; keys and values are rounded to codes only when they are handed over. */
  AttentionPass as(Form form) {
    return new AttentionPass(this, form);
  }

  /** Keys and values as the form's kernels read them; the same ones until a test changes k or v. */
  KeyValues keyValues() {
    if (kept == null || !Arrays.equals(k, keptK) || !Arrays.equals(v, keptV)) {
      kept = upload();
      keptK = k.clone();
      keptV = v.clone();
    }
    return kept;
  }

  private KeyValues upload() {
    Heads all = new Heads(heads, kvHeads, dim);
    if (!coded) {
      return new KeyValues(test.buffer(dtype, k), test.buffer(dtype, v), all, slots);
    }
    CodedRows keys = new CodedRows(k, dim);
    CodedRows values = new CodedRows(v, dim);
    return new KeyValues(test.bytes(keys.codes()), test.bytes(values.codes()), all, slots,
        new KeyValues.Scales(test.buffer(DType.F32, keys.scales()), test.buffer(DType.F32, values.scales())));
  }

  int rowWidth() {
    return heads * dim;
  }

  private float scale() {
    return (float) (1 / Math.sqrt(dim));
  }

  Segments segments(Part... parts) {
    Segments segments = new Segments(test.device, parts.length);
    int row = 0;
    for (Part p : parts) {
      segments.add(row, p.rows(), 0, p.slot(), p.contextBegin(), p.contextEnd(), p.own());
      row += p.rows();
    }
    segments.upload(test.stream);
    return segments;
  }

  AttentionWorkspace workspace(int segments, int rows) {
    return new AttentionWorkspace(test.stream, heads, kvHeads, dim, segments, rows, slots);
  }

  /** The kernel's result for rows that follow each other from part to part. */
  float[] run(Form form, Part... parts) {
    return runFrom(form, q, parts);
  }

  /** The same with other queries. */
  float[] runFrom(Form form, float[] queries, Part... parts) {
    int most = Arrays.stream(parts).mapToInt(Part::rows).max().orElse(1);
    try (Segments segments = segments(parts); AttentionWorkspace workspace = form.split() ? workspace(parts.length, most)
        : null) {
      return run(queries, segments, workspace);
    }
  }

  float[] run(float[] queries, Segments segments, AttentionWorkspace workspace) {
    DeviceBuffer out = test.empty(dtype, (long) segments.totalRows() * rowWidth());
    test.kernels.attention.launch(test.stream, test.buffer(dtype, queries), keyValues(), segments, out, scale(), workspace);
    return out.getFloats(test.stream);
  }

  /** The slots that row i of a part sees. */
  private static int[] visibleSlots(Part part, int i) {
    int own = switch (part.own()) {
      case NONE -> 0;
      case SELF -> part.rows();
      case CAUSAL -> i + 1;
    };
    IntStream context = IntStream.range(part.contextBegin(), part.contextEnd());
    return IntStream.concat(context, IntStream.range(part.slot(), part.slot() + own)).toArray();
  }

  double[] expected(Part... parts) {
    return expected(Arrays.stream(parts)
        .flatMap(p -> IntStream.range(0, p.rows()).mapToObj(i -> visibleSlots(p, i)))
        .toArray(int[][]::new));
  }

  /** In float64, for rows that see these slots. */
  double[] expected(int[][] seen) {
    double[] expected = new double[seen.length * rowWidth()];
    for (int row = 0; row < seen.length; row++) {
      for (int head = 0; head < heads; head++) {
        int at = (row * heads + head) * dim;
        double[] one = AttentionOracle.head(q, at, k, v, head / (heads / kvHeads) * slots * dim, seen[row], dim, scale());
        System.arraycopy(one, 0, expected, at, dim);
      }
    }
    return expected;
  }

  /** The form's result against float64, row by row and head by head. */
  static void check(OpTest test, Form form, int heads, int kvHeads, int dim, int slots, Part... parts) {
    if (!form.takes(dim) || form.dtype == DType.F16 && OpTest.withoutF16()) {
      return;
    }
    int rows = Arrays.stream(parts).mapToInt(Part::rows).sum();
    AttentionPass pass = new AttentionPass(test, form, heads, kvHeads, dim, slots, rows);
    String shape = parts.length <= 4 ? Arrays.toString(parts) : parts.length + " segments";
    String what = "attention " + form + " heads " + heads + "/" + kvHeads + " dim " + dim + " " + shape;
    test.assertRows(what, pass.expected(parts), pass.run(form, parts), rows * heads, form.tolerance);
  }
}
