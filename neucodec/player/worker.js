// Decodes .ncf files by the portable decoder, beside the page's own thread.
"use strict";
let decoder = null;
const weights = new Map(); // from the names of codecs to loaded models
const files = new Map(); // from the page's numbers to what is open
const BLOCK = 8192;

function memory() {
  return new Uint8Array(decoder.memory.buffer);
}

function put(bytes) {
  const place = decoder.allocate(bytes.length);
  if (!place) throw new Error("there is no memory");
  memory().set(bytes, place);
  return place;
}

function text(place) {
  const held = memory();
  let end = place;
  while (held[end]) end++;
  return new TextDecoder().decode(held.slice(place, end));
}

function open(number, bytes) {
  const file = decoder.open_file(put(bytes), bytes.length);
  if (!file) throw new Error(text(decoder.reason()));
  const codec = text(decoder.codec(file));
  if (!weights.has(codec)) throw new Error(`this page lacks the codec ${codec}`);
  if (decoder.use_weights(file, weights.get(codec))) throw new Error(text(decoder.reason()));
  const chunks = decoder.chunks(file);
  const channels = decoder.channels(file);
  const info = {
    codec, channels, rate: decoder.rate(file), stride: decoder.chunk_stride(file),
    encoder: text(decoder.encoder(file)), complete: Boolean(decoder.is_complete(file)),
    samples: decoder.samples(file), tags: [], sizes: [],
  };
  for (let k = 0, tag; (tag = decoder.tag(file, k)); k++) info.tags.push(text(tag));
  for (let k = 0; k < chunks; k++) info.sizes.push(decoder.chunk_bytes(file, k));
  if (info.samples < 0) info.samples = chunks * info.stride;
  files.set(number, { file, channels, at: 0, room: decoder.allocate(4 * BLOCK * channels) });
  return info;
}

// Gives samples of each channel from `from` on, up to `count` of them.
function read(number, from, count) {
  const held = files.get(number);
  if (held.at !== from && decoder.seek(held.file, from)) throw new Error("cannot go there");
  held.at = from;
  const out = Array.from({ length: held.channels }, () => new Float32Array(count));
  let done = 0;
  while (done < count) {
    const got = decoder.read(held.file, held.room, Math.min(BLOCK, count - done));
    if (got < 0) throw new Error("decoding failed");
    if (!got) break;
    const samples = new Float32Array(decoder.memory.buffer, held.room, got * held.channels);
    for (let c = 0; c < held.channels; c++)
      for (let k = 0; k < got; k++) out[c][done + k] = samples[k * held.channels + c];
    done += got;
  }
  held.at += done;
  return out.map((channel) => channel.subarray(0, done));
}

async function start(wasm, models) {
  decoder = (await WebAssembly.instantiate(wasm, {})).instance.exports;
  for (const [name, bytes] of models) {
    const model = decoder.open_weights(put(bytes), bytes.length);
    if (!model) throw new Error(text(decoder.reason()));
    weights.set(name, model);
  }
}

self.onmessage = async ({ data }) => {
  try {
    let result = null;
    if (data.what === "start") result = await start(data.wasm, data.models);
    if (data.what === "open") result = open(data.number, data.bytes);
    if (data.what === "read") result = read(data.number, data.from, data.count);
    self.postMessage({ id: data.id, result });
  } catch (error) {
    self.postMessage({ id: data.id, error: error.message });
  }
};
