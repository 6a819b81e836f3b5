"use strict";
// All versions of a recording run in step; which of them is heard is a matter of gains.

const FADE_SECONDS = 0.01;

class Player {
  constructor(context = new AudioContext()) {
    this.context = context;
    this.output = this.context.createGain();
    this.output.connect(this.context.destination);
    this.versions = []; // {buffer, gain (as a factor), node, source}
    this.heard = 0;
    this.playing = false;
    this.region = [0, 0]; // seconds, what is repeated
    this.paused = 0; // seconds, where playing goes on
    this.loads = 0;
  }

  /** Take the versions of another recording: [{bytes, gain}]. False if overtaken by a later one. */
  async load(versions) {
    const load = ++this.loads;
    const buffers = await Promise.all(
      versions.map((version) => this.context.decodeAudioData(version.bytes)));
    if (load !== this.loads) return false;
    this.pause();
    this.versions = buffers.map((buffer, i) => ({ buffer, gain: versions[i].gain }));
    this.heard = 0;
    this.paused = 0;
    this.region = [0, this.duration];
    return true;
  }

  get duration() {
    return Math.min(...this.versions.map((version) => version.buffer.duration));
  }

  /** Seconds into the recording. */
  get position() {
    if (!this.begun) return this.paused;
    const [start, end] = this.region;
    const run = this.begun.at + Math.max(0, this.context.currentTime - this.begun.time);
    return run < end ? run : start + ((run - start) % (end - start));
  }

  async play() {
    if (this.playing || !this.versions.length) return;
    this.playing = true;
    await this.context.resume();
    if (!this.playing || this.versions.some((version) => version.source)) return;
    const [start, end] = this.region;
    const at = this.paused >= start && this.paused < end ? this.paused : start;
    const time = this.context.currentTime + 0.02; // far enough ahead for all to start together
    this.begun = { time, at };
    this.versions.forEach((version, i) => {
      version.node = this.context.createGain();
      version.node.gain.value = i === this.heard ? version.gain : 0;
      version.node.connect(this.output);
      version.source = this.context.createBufferSource();
      version.source.buffer = version.buffer;
      version.source.loop = true;
      [version.source.loopStart, version.source.loopEnd] = this.region;
      version.source.connect(version.node);
      version.source.start(time, at);
    });
  }

  pause() {
    if (!this.playing) return;
    this.paused = this.position;
    this.playing = false;
    this.begun = undefined;
    for (const version of this.versions) {
      version.source?.stop();
      version.node?.disconnect();
      version.source = version.node = undefined;
    }
  }

  async toggle() {
    if (this.playing) this.pause();
    else await this.play();
  }

  async seek(seconds) {
    const played = this.playing;
    this.pause();
    this.paused = Math.min(Math.max(seconds, 0), this.duration);
    if (played) await this.play();
  }

  /** Repeat from `start` to `end` (seconds) instead of everything. */
  async repeat(start, end) {
    if (end - start < 0.2) return;
    const at = this.position;
    this.region = [Math.max(0, start), Math.min(end, this.duration)];
    await this.seek(at);
  }

  /** Hear version `index` from now on, at the same position. */
  choose(index) {
    this.heard = index;
    if (!this.begun) return;
    const now = this.context.currentTime;
    this.versions.forEach((version, i) => {
      const { gain } = version.node;
      gain.cancelScheduledValues(now);
      gain.setValueAtTime(gain.value, now);
      gain.linearRampToValueAtTime(i === index ? version.gain : 0, now + FADE_SECONDS);
    });
  }
}
