# SPDX-License-Identifier: Apache-2.0
"""Writes the image files and Pillow's answers that ImageFilesTest and BicubicResizeTest compare with.

Run in this folder with Pillow 9.4 or later (12.3 for WebP) and libwebp's cwebp on the path. images/NAME.* is an input, images/NAME.EXT.ppm what convert("RGB") makes of it;
resize/WxH.ppm is resize/source.ppm resized bicubically.
"""
import io
import os
import random
import struct
import subprocess
import zlib
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

RANDOM = random.Random(7)
MORE = random.Random(8)
IMAGES = Path("images")
WIDTH, HEIGHT = 21, 13
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def scanlines(samples, xs, ys, bits, channels):
    """Rows of the chosen pixels, unfiltered, samples packed from the high bit."""
    out = b""
    if not xs or not ys:
        return out
    for y in ys:
        line = 0
        for x in xs:
            for c in range(channels):
                line = line << bits | samples[y][x][c]
        used = len(xs) * channels * bits
        size = (used + 7) // 8
        out += b"\0" + (line << (size * 8 - used)).to_bytes(size, "big")
    return out


def png(name, colour_type, bits, extra=(), interlaced=False, limit=None):
    """A PNG of random samples of any kind the format has (Pillow itself writes only some)."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    top = limit or (1 << bits)
    samples = [[[RANDOM.randrange(top) for _ in range(channels)] for _ in range(WIDTH)] for _ in range(HEIGHT)]
    if interlaced:
        data = b"".join(scanlines(samples, range(x, WIDTH, dx), range(y, HEIGHT, dy), bits, channels)
                        for x, y, dx, dy in ADAM7)
    else:
        data = scanlines(samples, range(WIDTH), range(HEIGHT), bits, channels)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour_type, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + b"".join(chunk(k, v) for k, v in extra) + chunk(b"IDAT", zlib.compress(data))
    (IMAGES / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))


def palette(entries):
    return b"PLTE", bytes(RANDOM.randrange(256) for _ in range(3 * entries))


def pngs():
    for bits in (1, 2, 4, 8, 16):
        png(f"grey{bits}.png", 0, bits)
    for bits in (1, 2, 4, 8):
        png(f"palette{bits}.png", 3, bits, [palette(1 << bits)])
    png("palette_alpha.png", 3, 8, [palette(256), (b"tRNS", bytes(range(0, 250, 5)))])
    png("palette_short.png", 3, 8, [palette(100)], limit=100)
    png("grey_alpha8.png", 4, 8)
    png("grey_alpha16.png", 4, 16)
    png("rgb8.png", 2, 8)
    png("rgb16.png", 2, 16)
    png("rgba8.png", 6, 8)
    png("rgba16.png", 6, 16)
    png("grey_transparent.png", 0, 8, [(b"tRNS", b"\0\x40")])
    png("rgb_transparent.png", 2, 8, [(b"tRNS", b"\0\x10\0\x20\0\x30")])
    png("gamma.png", 0, 8, [(b"gAMA", struct.pack(">I", 100000))])
    png("interlaced.png", 6, 8, interlaced=True)


def picture(width=WIDTH, height=HEIGHT):
    """Smooth with some noise, so that JPEG has something to do."""
    image = Image.new("RGB", (width, height))
    image.putdata([(x * 255 // width, y * 255 // height, (x * y + RANDOM.randrange(40)) % 256)
                   for y in range(height) for x in range(width)])
    return image


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def jpegs():
    rgb = picture(45, 34)
    rgb.save(IMAGES / "jpeg420.jpg", quality=85, subsampling=2)
    rgb.save(IMAGES / "jpeg422.jpg", quality=85, subsampling=1)
    rgb.save(IMAGES / "jpeg444.jpg", quality=95, subsampling=0)
    rgb.save(IMAGES / "jpeg_progressive.jpg", quality=80, progressive=True)
    rgb.convert("L").save(IMAGES / "jpeg_grey.jpg", quality=90)
    rgb.convert("CMYK").save(IMAGES / "jpeg_cmyk.jpg", quality=90)
    for orientation in range(1, 9):
        rgb.save(IMAGES / f"exif{orientation}.jpg", quality=90, subsampling=0, exif=exif(orientation))


def strip(data, markers):
    """A JPEG file without the segments of these markers."""
    out, at = data[:2], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
        if data[at + 1] not in markers:
            out += data[at:end]
        at = end
    return out + data[at:]


def odd_jpegs():
    """Colour models that are to be guessed from markers."""
    plain = (IMAGES / "jpeg444.jpg").read_bytes()
    bare = strip(plain, {0xE0})
    (IMAGES / "jpeg_bare444.jpg").write_bytes(bare)
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
    (IMAGES / "jpeg_rgb.jpg").write_bytes(bare[:2] + adobe + b"\0" + bare[2:])
    (IMAGES / "jpeg_jfif_over_adobe.jpg").write_bytes(plain[:2] + adobe + b"\0" + plain[2:])
    cmyk = (IMAGES / "jpeg_cmyk.jpg").read_bytes()
    at = cmyk.index(b"Adobe") + 11
    (IMAGES / "jpeg_ycck.jpg").write_bytes(cmyk[:at] + b"\2" + cmyk[at + 1:])
    # a profile that swaps red and green: to be ignored
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red:red + 4], profile[green:green + 4] = b"gXYZ", b"rXYZ"
    picture(24, 18).save(IMAGES / "jpeg_profile.jpg", icc_profile=bytes(profile))
    picture(24, 18).save(IMAGES / "profile.png", icc_profile=bytes(profile))
    picture(24, 18).save(IMAGES / "jpeg_broken_profile.jpg", icc_profile=b"nonsense")
    (IMAGES / "jpeg_fill_bytes.jpg").write_bytes(plain[:2] + b"\xff\xff" + plain[2:])
    (IMAGES / "jpeg_trailing.jpg").write_bytes(plain + b"something after the end")


def tiffs():
    rgb = picture()
    for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"):
        rgb.save(IMAGES / f"tiff_{compression}.tif", compression=None if compression == "raw" else compression)
    rgb.convert("L").save(IMAGES / "tiff_grey.tif")
    rgb.convert("1").save(IMAGES / "tiff_bits.tif", compression="group4")
    rgb.quantize(40).save(IMAGES / "tiff_palette.tif")
    rgba = rgb.convert("RGBA")
    rgba.putalpha(rgb.convert("L"))
    rgba.save(IMAGES / "tiff_alpha.tif")
    rgb.convert("CMYK").save(IMAGES / "tiff_cmyk.tif")
    rgb.save(IMAGES / "tiff_turned.tif", tiffinfo={274: 6})
    rgb.save(IMAGES / "tiff_pages.tif", save_all=True, append_images=[picture()])
    Image.frombytes("I;16", (WIDTH, HEIGHT), bytes(RANDOM.randrange(256) for _ in range(2 * WIDTH * HEIGHT))).save(
        IMAGES / "grey16.tif")
    rgb.save(IMAGES / "turned.png", exif=exif(8))


def small_frame_gif(name, **options):
    """A first frame that covers only part of the screen."""
    buffer = io.BytesIO()
    picture(6, 5).quantize(16).save(buffer, "GIF", **options)
    data = bytearray(buffer.getvalue())
    data[6:10] = struct.pack("<HH", 11, 9)
    frame = data.index(b"\x2c", 13 + 3 * 16)
    data[frame + 1:frame + 5] = struct.pack("<HH", 3, 2)
    (IMAGES / name).write_bytes(bytes(data))


def tiff(name, photometric, bits, extra=(), compression=1, planar=1, predictor=1, order="<", tiled=False):
    """A TIFF of random samples of one of the kinds that are read (Pillow itself writes only some)."""
    samples = [[[MORE.randrange(1 << b) for b in bits] for _ in range(WIDTH)] for _ in range(HEIGHT)]

    def rows(ys, xs, channels):
        out = b""
        for y in ys:
            line, used, before = 0, 0, [0] * len(channels)
            for x in xs:
                pixel = [samples[min(y, HEIGHT - 1)][min(x, WIDTH - 1)][c] for c in channels]
                stored = [(a - b) % 256 for a, b in zip(pixel, before)] if predictor == 2 else pixel
                before = pixel
                for value, c in zip(stored, channels):
                    if bits[c] == 16:
                        value = int.from_bytes(struct.pack(order + "H", value), "big")
                    line, used = line << bits[c] | value, used + bits[c]
            size = (used + 7) // 8
            out += (line << (size * 8 - used)).to_bytes(size, "big")
        return out

    groups = [range(len(bits))] if planar == 1 else [[c] for c in range(len(bits))]
    if tiled:
        chunks = [rows(range(y, y + 16), range(x, x + 16), g) for g in groups for y in range(0, HEIGHT, 16) for x in range(0, WIDTH, 16)]
    else:
        chunks = [rows(range(y, min(HEIGHT, y + 5)), range(WIDTH), g) for g in groups for y in range(0, HEIGHT, 5)]
    if compression == 8:
        chunks = [zlib.compress(c) for c in chunks]
    data = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0))
    offsets = []
    for c in chunks:
        offsets.append(len(data))
        data += c + b"\0" * (len(c) & 1)
    tags = {256: [WIDTH], 257: [HEIGHT], 258: list(bits), 259: [compression], 262: [photometric], 277: [len(bits)], 284: [planar]}
    if extra:
        tags[338] = list(extra)
    if predictor == 2:
        tags[317] = [2]
    if photometric == 3:
        tags[320] = [MORE.randrange(65536) for _ in range(3 << bits[0])]
    tags.update({322: [16], 323: [16], 324: offsets, 325: [len(c) for c in chunks]} if tiled
                else {273: offsets, 278: [5], 279: [len(c) for c in chunks]})
    values = {t: struct.pack(order + "HI"[t in (273, 279, 324, 325)] * len(v), *v) for t, v in tags.items()}
    entries = b""
    for t in sorted(values):
        v = values[t]
        place = v.ljust(4, b"\0") if len(v) <= 4 else struct.pack(order + "I", len(data))
        data += v if len(v) > 4 else b""
        entries += struct.pack(order + "HHI", t, 4 if t in (273, 279, 324, 325) else 3, len(tags[t])) + place
    data += b"\0" * (len(data) & 1)
    struct.pack_into(order + "I", data, 4, len(data))
    (IMAGES / name).write_bytes(bytes(data) + struct.pack(order + "H", len(values)) + entries + b"\0" * 4)


def tiff_kinds():
    for bits in (1, 2, 4, 8):
        tiff(f"tiff_white_is_zero{bits}.tif", 0, [bits])
        tiff(f"tiff_grey{bits}_big.tif", 1, [bits], compression=8, order=">")
        tiff(f"tiff_palette{bits}.tif", 3, [bits], tiled=bits == 4)
    tiff("tiff_grey_alpha.tif", 1, [8] * 2, [2])
    tiff("tiff_rgb_planes.tif", 2, [8] * 3, planar=2, compression=8, predictor=2)
    tiff("tiff_rgb_tiles.tif", 2, [8] * 3, compression=8, predictor=2, tiled=True)
    tiff("tiff_rgb16.tif", 2, [16] * 3)
    tiff("tiff_rgb16_big.tif", 2, [16] * 3, order=">", tiled=True)
    tiff("tiff_rgba16.tif", 2, [16] * 4, [2])
    tiff("tiff_rgbx.tif", 2, [8] * 4, [0])
    tiff("tiff_rgba_planes.tif", 2, [8] * 4, [2], planar=2)
    tiff("tiff_cmyk_planes.tif", 5, [8] * 4, planar=2)
    grey = picture().convert("L")
    grey.save(IMAGES / "tiff_jpeg_grey.tif", compression="jpeg", quality=80)
    picture().convert("YCbCr").save(IMAGES / "tiff_jpeg_ycbcr.tif", compression="jpeg", quality=80)
    bilevel = picture().convert("1")
    bilevel.save(IMAGES / "tiff_fax3_reversed.tif", compression="group3", tiffinfo={266: 2, 262: 0, 292: 1})
    picture().save(IMAGES / "tiff_xmp.tif", tiffinfo={700: xmp(6)})


def xmp(orientation):
    return f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def insert(data, at, extra):
    return data[:at] + extra + data[at:]


def odd_headers():
    """Stray bytes between segments, half the rows of chroma, orientation outside EXIF."""
    buffer = io.BytesIO()
    picture(48, 40).save(buffer, "JPEG", quality=85, subsampling=1)
    data = buffer.getvalue()
    frame = data.index(b"\xff\xc0")
    # the blocks of 4:2:2 in the order of 4:4:0: three by five units of 16 x 8 are five by three of 8 x 16
    for name, width, height in (("jpeg440.jpg", 37, 45), ("jpeg440_even.jpg", 40, 48)):
        changed = bytearray(data)
        struct.pack_into(">HH", changed, frame + 5, height, width)
        changed[frame + 11] = 0x12
        (IMAGES / name).write_bytes(bytes(changed))
    (IMAGES / "jpeg_stray.jpg").write_bytes(insert(data, frame, b"\0\x17\x80stray"))
    (IMAGES / "jpeg_lone_restart.jpg").write_bytes(insert(data, frame, b"\xff\xd3"))
    packet = b"http://ns.adobe.com/xap/1.0/\0" + xmp(8)
    (IMAGES / "jpeg_xmp.jpg").write_bytes(insert(data, frame, b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet))
    picture().save(IMAGES / "webp_xmp.webp", lossless=True, xmp=xmp(5))
    block = exif(6)
    lines = block.hex()
    text = f"\nexif\n{len(block):8}\n" + "\n".join(lines[i:i + 72] for i in range(0, len(lines), 72)) + "\n"
    keyword = b"Raw profile type exif\0"
    png("raw_profile.png", 2, 8, [(b"tEXt", keyword + text.encode())])
    png("raw_profile_deflated.png", 2, 8, [(b"zTXt", keyword + b"\0" + zlib.compress(text.encode()))])
    png("raw_profile_unicode.png", 2, 8, [(b"iTXt", keyword + b"\0\0en\0\0" + text.encode())])
    png("xmp.png", 2, 8, [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(7))])


def others():
    small_frame_gif("gif_small_frame.gif")
    small_frame_gif("gif_small_frame_transparent.gif", transparency=5)
    rgb = picture()
    rgb.save(IMAGES / "bmp24.bmp")
    rgb.convert("L").save(IMAGES / "bmp8_grey.bmp")
    rgb.quantize(40).save(IMAGES / "bmp8.bmp")
    rgb.convert("1").save(IMAGES / "bmp1.bmp")
    picture().convert("RGBA").save(IMAGES / "bmp32.bmp")
    rgb.quantize(50).save(IMAGES / "gif.gif")
    rgb.quantize(30).save(IMAGES / "gif_transparent.gif", transparency=3)
    rgb.quantize(9).save(IMAGES / "gif_film.gif", save_all=True, append_images=[picture().quantize(9)], duration=50)
    rgb.quantize(20).save(IMAGES / "gif_interlaced.gif", interlace=1)


def webps():
    """Lossy and lossless, the filters and segments that Pillow has no options for by cwebp, a frame smaller than its canvas."""
    rgb, flat = picture(45, 35), picture(45, 35).quantize(7).convert("RGB")
    for quality in (5, 50, 95):
        rgb.save(IMAGES / f"webp_lossy{quality}.webp", quality=quality)
    picture(1, 1).save(IMAGES / "webp_lossy_1x1.webp")
    picture(17, 16).save(IMAGES / "webp_lossy_17x16.webp")
    rgb.save(IMAGES / "webp_lossless.webp", lossless=True, quality=100, method=6)
    rgb.save(IMAGES / "webp_lossless_fast.webp", lossless=True, quality=0, method=0)
    flat.save(IMAGES / "webp_lossless_palette.webp", lossless=True)
    flat.convert("L").point(lambda v: 255 if v > 99 else 0).convert("RGB").save(IMAGES / "webp_two_colours.webp", lossless=True)
    rgba = rgb.copy()
    rgba.putalpha(rgb.convert("L").point(lambda v: v if v > 60 else 0))
    rgba.save(IMAGES / "webp_alpha.webp", quality=60)
    rgba.save(IMAGES / "webp_alpha_lossless.webp", lossless=True, exact=True)
    rgb.save(IMAGES / "webp_turned.webp", quality=80, exif=exif(6))
    rgb.save(IMAGES / "webp_film.webp", save_all=True, append_images=[flat], quality=60)
    rgb.save("source.png")
    for name, options in {"simple_filter": "-nostrong -f 60", "sharp_filter": "-strong -f 100 -sharpness 5",
                          "segments": "-segments 4 -sns 100 -q 20", "no_filter": "-f 0"}.items():
        subprocess.run(["cwebp", "-quiet", *options.split(), "source.png", "-o", IMAGES / f"webp_{name}.webp"], check=True)
    os.remove("source.png")
    frame = (IMAGES / "webp_lossy_17x16.webp").read_bytes()[12:]
    frame = b"\x03\0\0" + b"\x02\0\0" + b"\x10\0\0" + b"\x0f\0\0" + b"\x64\0\0\2" + frame
    canvas = b"\2\0\0\0" + b"\x1d\0\0" + b"\x13\0\0"
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(v)) + v for k, v in ((b"VP8X", canvas), (b"ANIM", b"\0" * 6), (b"ANMF", frame)))
    (IMAGES / "webp_offset.webp").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def answers():
    for file in sorted(IMAGES.iterdir()):
        if file.suffix != ".ppm":
            with Image.open(file) as image:
                if file.stem == "grey16":
                    # Pillow would clip to white nearly everything; its 16-bit colours are cut to the high byte
                    image = Image.frombytes("L", image.size, bytes(min(v, 65535) >> 8 for v in image.getdata()))
                if file.suffix != ".tif":
                    # TIFF files are turned when they are read
                    image = ImageOps.exif_transpose(image)
                image.convert("RGB").save(f"{file}.ppm")


def resizes():
    folder = Path("resize")
    source = Image.new("RGB", (61, 47))
    source.putdata([tuple(RANDOM.choice((0, 255, RANDOM.randrange(256))) for _ in range(3)) for _ in range(61 * 47)])
    source.save(folder / "source.ppm")
    for width, height in [(20, 15), (61, 47), (90, 70), (61, 10), (7, 47), (1, 1), (28, 84), (122, 1), (60, 46), (62, 48)]:
        source.resize((width, height), Image.BICUBIC).save(folder / f"{width}x{height}.ppm")


if __name__ == "__main__":
    for name in ("images", "resize"):
        os.makedirs(name, exist_ok=True)
        for old in Path(name).iterdir():
            old.unlink()
    pngs()
    jpegs()
    odd_jpegs()
    tiffs()
    others()
    resizes()
    webps()
    tiff_kinds()
    odd_headers()
    answers()
