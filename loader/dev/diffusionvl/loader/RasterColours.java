// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.DirectColorModel;
import java.awt.image.IndexColorModel;

/** Whether the samples of an image that a program hands over are what {@link RasterPixels} takes them for. */
final class RasterColours {
  private RasterColours() {}

  /** @throws BadInputException naming what is unusual about the image's colours */
  static void requireUsual(BufferedImage image) {
    String problem = problem(image.getColorModel(), image.getRaster().getNumBands());
    if (problem != null) {
      throw new BadInputException("image: colours: " + problem + " not supported; draw it into a BufferedImage of TYPE_INT_RGB");
    }
  }

  private static String problem(ColorModel model, int bands) {
    if (model instanceof IndexColorModel) {
      return bands == 1 ? null : "a palette with " + bands + " bands is";
    }
    boolean components = model.getClass() == ComponentColorModel.class;
    if (!components && model.getClass() != DirectColorModel.class) {
      return "the colour model " + model.getClass().getName() + " is";
    }
    int type = model.getTransferType();
    if (components && type != DataBuffer.TYPE_BYTE && type != DataBuffer.TYPE_USHORT) {
      return "samples of floating point, of 32 bits or with a sign are";
    }
    for (int bits : model.getComponentSize()) {
      if (bits < 1 || bits > 16) {
        return "samples of " + bits + " bits are";
      }
    }
    return bands == model.getNumComponents() ? spaceProblem(model) : bands + " bands for " + model.getNumComponents() + " components are";
  }

  private static String spaceProblem(ColorModel model) {
    ColorSpace space = model.getColorSpace();
    boolean multiplied = model.hasAlpha() && model.isAlphaPremultiplied();
    int colours = model.getNumColorComponents();
    boolean usual = switch (space.getType()) {
      // getRGB, which takes the alpha out again, would also convert between colour spaces
      case ColorSpace.TYPE_RGB -> colours == 3 && (!multiplied || space.isCS_sRGB())
          && !space.equals(ColorSpace.getInstance(ColorSpace.CS_LINEAR_RGB));
      case ColorSpace.TYPE_GRAY -> colours == 1 && !multiplied;
      case ColorSpace.TYPE_CMYK -> colours == 4 && !model.hasAlpha() && model.getComponentSize(0) >= 8;
      default -> false;
    };
    return usual ? null : "a colour space of type " + space.getType() + " with " + colours + " components"
        + (multiplied ? " multiplied by alpha" : "") + " is";
  }
}
