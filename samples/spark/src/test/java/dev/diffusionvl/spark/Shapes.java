// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Questions about the shapes that come with the project, the demo model, and its answers one after the other. */
final class Shapes {
  static final Path PROJECT = Path.of("../..").toAbsolutePath().normalize();
  static final Path IMAGES = PROJECT.resolve("samples/data/shapes/images");
  static final Path MODEL = PROJECT.resolve("samples/models/diffusionvl-tiny");
  static final Path WORK = Path.of(System.getProperty("sample.work")).normalize();
  static final String QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"; // options of a JVM for short runs
  static final StructType TYPE = new StructType().add("id", DataTypes.LongType).add("image", DataTypes.StringType)
      .add("prompt", DataTypes.StringType);

  private Shapes() {}

  /** The first questions: id from 0, name of the image, prompt. */
  static List<Row> questions(int count) throws IOException {
    List<Row> rows = new ArrayList<>();
    JsonNode records = new ObjectMapper().readTree(PROJECT.resolve("samples/data/shapes/train.json").toFile());
    for (JsonNode record : records) {
      if (rows.size() < count && record.has("image")) {
        String prompt = record.get("conversations").get(0).get("value").asText().replace("<image>\n", "");
        rows.add(RowFactory.create((long) rows.size(), record.get("image").asText(), prompt));
      }
    }
    return rows;
  }

  static Dataset<Row> table(SparkSession spark, List<Row> rows, int partitions) {
    return spark.createDataFrame(rows, TYPE).repartition(partitions);
  }

  /** Short answers in few passes. */
  static DiffusionVlTransformer transformer() {
    return new DiffusionVlTransformer().setModel(MODEL.toString()).setImageFolder(IMAGES.toString()).setDevice("emulated")
        .setGenLength(16).setSteps(4);
  }

  /** What one session answers, by id. */
  static Map<Long, GenerationResult> alone(List<Row> rows) {
    Map<Long, GenerationResult> answers = new HashMap<>();
    try (Device device = Device.open(DeviceSpec.EMULATED);
        DiffusionVl model = DiffusionVl.load(device, MODEL, DType.BF16);
        Session session = model.newSession()) {
      GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(16).withSteps(4);
      for (Row row : rows) {
        Request request = Request.of(row.getString(2), ImageFiles.read(IMAGES.resolve(row.getString(1))));
        answers.put(row.getLong(0), session.generate(request, options));
      }
    }
    return answers;
  }

  static SparkSession.Builder spark(String master) {
    return SparkSession.builder().master(master).config("spark.log.level", "ERROR").config("spark.ui.enabled", false)
        .config("spark.sql.warehouse.dir", WORK.resolve("warehouse").toString()).config("spark.sql.shuffle.partitions", 2);
  }
}
