"use strict";
// Spectrograms, drawn from the samples that are played.

const FFT_SIZE = 1024;
const FLOOR_DB = -95;
const TOP_DB = -15;

/** In-place radix-2 transform of complex numbers; the length is a power of two. */
function fft(real, imag) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imag[i], imag[j]] = [imag[j], imag[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const cos = Math.cos((2 * Math.PI * k) / size);
      const sin = -Math.sin((2 * Math.PI * k) / size);
      for (let i = k; i < n; i += size) {
        const re = real[i + half] * cos - imag[i + half] * sin;
        const im = real[i + half] * sin + imag[i + half] * cos;
        real[i + half] = real[i] - re;
        imag[i + half] = imag[i] - im;
        real[i] += re;
        imag[i] += im;
      }
    }
  }
}

/** Levels in dB of full scale: one Float32Array of FFT_SIZE / 2 bins for each of `columns`. */
function spectrogram(samples, columns) {
  const window = Float32Array.from({ length: FFT_SIZE }, (_, i) =>
    (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FFT_SIZE)) / (FFT_SIZE / 4));
  const real = new Float32Array(FFT_SIZE);
  const imag = new Float32Array(FFT_SIZE);
  return Array.from({ length: columns }, (_, column) => {
    const start = Math.round(((column + 0.5) * samples.length) / columns - FFT_SIZE / 2);
    for (let i = 0; i < FFT_SIZE; i++) real[i] = (samples[start + i] || 0) * window[i];
    imag.fill(0);
    fft(real, imag);
    return Float32Array.from({ length: FFT_SIZE / 2 }, (_, k) =>
      10 * Math.log10(real[k] ** 2 + imag[k] ** 2 + 1e-12));
  });
}

/** Black through purple and orange to white, for 0 to 1. */
function heat(level) {
  const stops = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 214]];
  const place = Math.min(Math.max(level, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((c, i) => c + (stops[low + 1][i] - c) * (place - low));
}

/** Draw an AudioBuffer, 0 Hz at the bottom, `top` Hz at the top. */
function drawSpectrogram(canvas, buffer, top) {
  const { width, height } = canvas;
  const pen = canvas.getContext("2d");
  const picture = pen.createImageData(width, height);
  const hertzPerBin = buffer.sampleRate / FFT_SIZE;
  spectrogram(buffer.getChannelData(0), width).forEach((levels, x) => {
    for (let y = 0; y < height; y++) {
      const bin = Math.round(((height - 1 - y) / height) * (top / hertzPerBin));
      const level = bin < levels.length ? levels[bin] : FLOOR_DB;
      const [red, green, blue] = heat((level - FLOOR_DB) / (TOP_DB - FLOOR_DB));
      picture.data.set([red, green, blue, 255], 4 * (y * width + x));
    }
  });
  pen.putImageData(picture, 0, 0);
  pen.fillStyle = "#fff";
  pen.font = "11px system-ui, sans-serif";
  const step = top > 12000 ? 5000 : 2000;
  for (let hertz = step; hertz < top; hertz += step) {
    pen.fillText(`${hertz / 1000} kHz`, 3, height * (1 - hertz / top));
  }
}
