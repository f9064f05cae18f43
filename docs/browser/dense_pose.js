// Dense pose of people in boxes, by a file of `slimdp export`, in onnxruntime-web.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

// Weights in 8 bits (`slimdp export --int8`) are made numbers once, not again for every crop.
const OPTIONS = { extra: { session: { disable_quant_qdq: "1" } } };

// Load an ONNX file that `slimdp export` wrote.
export async function loadNetwork(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}; write it with slimdp export`);
  const content = new Uint8Array(await response.arrayBuffer());
  const session = await ort.InferenceSession.create(content, OPTIONS);
  return new Network(session, readMetadata(content));
}

class Network {
  constructor(session, metadata) {
    this.session = session;
    this.size = metadata.size; // of the crop, px
    this.margin = metadata.margin; // of the box's longer side, on each side
    this.border = metadata.border_rgb; // outside of the picture
    this.partNames = ["background", ...metadata.layout.parts.map(part => part.name)];
  }

  // The dense pose of one person: a picture (anything that a canvas draws), the box x, y, width, height, px.
  async predict(picture, box) {
    const [x, y, width, height] = box, size = this.size;
    const side = Math.max(width, height) * (1 + 2 * this.margin);
    // A canvas counts from the edges of pixels, so the middle of the box is where it seems to be.
    const region = [x + width / 2 - side / 2, y + height / 2 - side / 2, side];
    const images = new ort.Tensor("float32", this.crop(picture, region), [1, 3, size, size]);
    const { part, uv, person } = await this.session.run({ images }, ["part", "uv", "person"]);
    return new Pose(region, size, part.data, uv.data, person.data);
  }

  // The square crop as red, then green, then blue, in 0..1.
  crop(picture, [left, top, side]) {
    const size = this.size, canvas = new OffscreenCanvas(size, size);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = `rgb(${this.border.join(" ")})`;
    context.fillRect(0, 0, size, size);
    context.imageSmoothingQuality = "high"; // averages where it shrinks
    context.setTransform(size / side, 0, 0, size / side, -left * size / side, -top * size / side);
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, size, size), count = size * size;
    const values = new Float32Array(3 * count);
    for (let i = 0; i < count; i++)
      for (let channel = 0; channel < 3; channel++) values[channel * count + i] = data[4 * i + channel] / 255;
    return values;
  }
}

// What is at each pixel of the crop, row by row.
class Pose {
  constructor(region, size, part, uv, person) {
    this.region = region; // left, top, side of the crop in the picture, px
    this.size = size; // side of the maps
    this.part = part; // 1..P
    this.uv = uv; // u of all pixels, then v, in 0..1
    this.person = person; // over 0 where the person is
    this.pixels = person.reduce((sum, value) => sum + (value > 0), 0);
  }

  // Lay the parts over the picture that a canvas shows, in colours that change with u.
  draw(context, alpha = 0.6) {
    const canvas = new OffscreenCanvas(this.size, this.size), own = canvas.getContext("2d");
    for (let i = 0; i < this.part.length; i++) {
      if (this.person[i] <= 0) continue;
      own.fillStyle = `hsl(${(this.part[i] * 105) % 360} 80% ${35 + 35 * this.uv[i]}%)`;
      own.fillRect(i % this.size, Math.floor(i / this.size), 1, 1);
    }
    context.save();
    context.globalAlpha = alpha;
    context.drawImage(canvas, this.region[0], this.region[1], this.region[2], this.region[2]);
    context.restore();
  }
}

// The metadata of an ONNX file that slimdp wrote, which onnxruntime-web does not give: field 14 of a ModelProto
// (onnx.proto) holds pairs of key (field 1) and value (field 2).
export function readMetadata(content) {
  const found = {}, text = new TextDecoder();
  for (const [field, entry] of fields(content)) {
    if (field !== 14) continue;
    const pair = Object.fromEntries([...fields(entry)].map(([number, value]) => [number, text.decode(value)]));
    const name = pair[1].replace(/^slimdp_/, "");
    if (name !== pair[1]) found[name] = JSON.parse(pair[2]);
  }
  if (!found.size) throw new Error("this ONNX file was not written by slimdp export");
  return found;
}

// The fields of a protocol buffer that are bytes: their numbers and contents.
function* fields(content) {
  let at = 0;
  const number = () => {
    let value = 0, scale = 1, byte;
    do {
      byte = content[at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return value;
  };
  while (at < content.length) {
    const tag = number(), kind = tag % 8;
    if (kind === 0) number();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else {
      const length = number();
      yield [Math.floor(tag / 8), content.subarray(at, at + length)];
      at += length;
    }
  }
}
