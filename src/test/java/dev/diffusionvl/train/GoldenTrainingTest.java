// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.RopeTable;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class GoldenTrainingTest {
  @Test
  void textOnly() {
    TrainingCase golden = TrainingCase.read("text");
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
        DiffusionVl model = DiffusionVl.load(device, Path.of("samples/models/diffusionvl-tiny"), DType.F32);
        Stream stream = device.newStream(); Gemm gemm = new Gemm(stream);
        Twin gradients = new Twin(device, "gradients", model.parameters(), buffer -> true)) {
      stream.fill(gradients.all(), 0);
      PassRows rows = new BlockDiffusionObjective(8, 1023, 1e-3).rows(golden.samples(), golden.noises(0), 1);
      try (DevicePass pass = new DevicePass(device, stream, rows);
          RopeTable rope = RopeTable.text(device, stream, 256, model.config().text().headDim(), model.config().text().ropeTheta());
          TextActivations a = new TextActivations(device, DType.F32, model.config().text(), rows.rows(), rows.targets().size(), false)) {
        long start = System.nanoTime();
        for (int r = 0; r < 8; r++) {
        stream.fill(gradients.all(), 0);
        start = System.nanoTime();
        new LanguageModelTraining(model, stream, gemm, gradients, false).run(pass, null, null, rope, a);
        stream.synchronize();
        System.out.println(r + ": " + (System.nanoTime() - start) / 1e6 + " ms, loss ");
        }
        double loss = 0;
        for (float value : a.losses.getFloats(stream)) {
          loss += value;
        }
        System.out.println(rows.rows() + " rows, " + (System.nanoTime() - start) / 1e6 + " ms, loss " + loss);
        assertEquals(golden.step(0).get("loss").asDouble(), loss, 1e-5 * loss);
        JsonNode probes = golden.step(0).get("gradients");
        model.parameters().entries().forEach(entry -> {
          var weight = model.parameters().buffers().get(entry.buffer());
          var g = gradients.of(weight).slice(entry.offset(), entry.storedElements()).getFloats(stream);
          double sum = 0, squares = 0;
          for (float x : g) { sum += x; squares += (double) x * x; }
          System.out.println(entry.name() + " " + Math.sqrt(squares) + " " + sum + " golden " + probes.get("model." + entry.name()));
        });
      }
    }
  }
}
