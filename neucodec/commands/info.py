"""Define ``neucodec info``: what a file says of itself."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from neucodec.files.paths import open_to_seek
from neucodec.jobs.input_files import find_inputs
from neucodec.jobs.input_kinds import NCF
from neucodec.jobs.job import Job
from neucodec.jobs.result import DONE, Result
from neucodec.jobs.runner import run_jobs
from neucodec.models import Card
from neucodec.terminal.console import WARNINGS, Console, counted, printable, shown
from neucodec.terminal.standard_streams import tell
from neucodec.terminal.timecode import format_spans, format_time

from .options import inputs_argument
from .parameter_types import Model

if TYPE_CHECKING:
    from neucodec.formats import ChunkEntry, Header, NcfReader

_LONGEST_TAG = 4096
EPILOG = """
\b
Examples:
  neucodec info song.ncf
  neucodec info --chunks song.ncf
  neucodec info --json archive/ | jq -r 'select(.complete | not) | .file'

Of a complete file only the head and the end are read, so that damage in between goes unseen;
--chunks reads everything, and so does neucodec verify. Of one with squeezed codes everything is
read, to say what that saved.
"""


@click.command(epilog=EPILOG)
@inputs_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object per file and line.")
@click.option("--chunks", is_flag=True, help="List the chunks, too.")
@click.option(
    "-m", "--model", type=Model(), metavar="PATH",
    help="Say whether files were made with this checkpoint of your own, or model.",
)  # fmt: skip
def info(inputs: tuple[str, ...], as_json: bool, chunks: bool, model: Card | None) -> None:
    """Say what is in .ncf files: codec, bitrate, length, tags.

    Directories are searched for .ncf files. In JSON, times are in seconds, sizes in bytes, sample
    rates in Hz and bitrates in bit/s.
    """

    def describe(job: Job, console: Console) -> Result:
        with open_to_seek(job.source) as file:
            found = _describe(job.source, file, chunks)
            if model is not None:
                found["made_with"] = _made_with(found, model, console)
        tell(json.dumps(found) if as_json else _text(found))
        return DONE

    console = Console(WARNINGS)
    search = find_inputs(inputs, NCF, console)
    jobs = [Job(name, name) for name, _ in search.files]
    if not run_jobs(jobs, search.failures, describe, console):
        click.get_current_context().exit(1)


def _made_with(found: dict[str, Any], card: Card, console: Console) -> bool:
    """Tell whether a file was made with the weights of a model."""
    from .codec_loader import Codecs

    codec = Codecs("cpu", offline=False).get(card, console)
    known = {codec.fingerprint, *codec.card.readable}
    return found["codec"] == card.name and bytes.fromhex(found["fingerprint"]) in known


def _describe(name: str, file: BinaryIO, list_chunks: bool) -> dict[str, Any]:
    """Return what there is to know, in the order in which one asks for it."""
    from neucodec.coding.integrity import (
        contents_of,
        damaged_spans,
        length_of,
        surplus_of,
    )
    from neucodec.formats import EntropyCoder, NcfReader

    reader, size = NcfReader(file), file.seek(0, os.SEEK_END)
    header = reader.header
    reader.locate()
    chunks = [_describe_chunk(reader, entry) for entry in reader.table()] if list_chunks else None
    held = contents_of(reader) if header.entropy != EntropyCoder.NONE else None
    seconds = length_of(reader)
    pcm_bytes = 2 * header.channels * seconds * header.source_rate
    damaged = damaged_spans(header, reader.damaged, seconds)
    # Without an intact end the table was made by reading everything, chunks and all.
    searched = list_chunks or held or not reader.complete
    described = {
        "file": name,
        "complete": reader.complete,
        "damaged": damaged if searched or damaged else None,
        "surplus": surplus_of(reader) or None,
        "codec": header.codec,
        "fingerprint": header.fingerprint.hex(),
        "sample_rate": header.source_rate,
        "channels": header.channels,
        "channel_mask": header.channel_mask,
        "frames": reader.frames,
        "seconds": round(seconds, 6),
        "bytes": size,
        "nominal_bitrate": header.nominal_bitrate,
        "average_bitrate": header.average_bitrate,
        "bitrate": round(8 * size / seconds) if seconds else None,
        "ratio": round(pcm_bytes / size, 2),
        **_describe_coding(header, reader.chunk_count),
        "payload_bytes": held and held.payloads,
        "raw_payload_bytes": held and held.raw_payloads,
        "layer": header.layer.name.lower(),
        "layered_chunks": held and held.layered_chunks,
        "layer_bytes": held and held.layers,
        "gain_db": header.gain_db,
        "source_fingerprint": reader.source_fingerprint.hex() or None,
        "encoder": header.encoder,
        "format": ".".join(map(str, reader.version)),
        "tags": dict(header.tags),
    }
    return described if chunks is None else described | {"chunks": chunks}


def _describe_coding(header: Header, chunk_count: int | None) -> dict[str, Any]:
    """Return how the audio is cut and coded."""
    return {
        "codebooks": header.codebooks,
        "codebook_size": header.codebook_size,
        "streams": header.streams,
        "model_rate": header.sample_rate,
        "hop": header.hop,
        "chunk_count": chunk_count,
        "chunk_frames": header.chunk_frames,
        "chunk_stride": header.chunk_stride,
        "overlap": header.overlap,
        "scales": header.scale_kind.name.lower(),
        "entropy": header.entropy.name.lower(),
        "entropy_model": header.entropy_model or None,
        "entropy_fingerprint": header.entropy_fingerprint.hex() or None,
    }


def _describe_chunk(reader: NcfReader, entry: ChunkEntry) -> dict[str, Any]:
    header, chunk = reader.header, reader.read_chunk(entry.index)
    start = round(entry.index * header.chunk_stride / header.sample_rate, 6)
    place = {
        "index": entry.index, "start": start, "offset": entry.offset, "bytes": entry.length,
        "intact": chunk is not None,
    }  # fmt: skip
    if chunk is None:
        return place
    return place | {
        "codebooks": chunk.codebooks,
        "frames": chunk.frames,
        "scales": list(chunk.scales),
        "mid_side": chunk.mid_side,
        "raw": chunk.raw,
        "layer_bytes": len(chunk.layer),
    }


def _text(found: dict[str, Any]) -> str:
    """Return the same for people."""
    seconds, rate = found["seconds"], found["bitrate"]
    nominal, average = found["nominal_bitrate"], found["average_bitrate"]
    ratio = found["ratio"]
    smaller = f", {ratio:.1f}x smaller than 16-bit PCM" if ratio >= 1 else ""
    bitrates = [f"{rate / 1000:.2f} kbps"] if rate else []
    bitrates += [f"{average / 1000:.2f} asked for"] if average else []
    bitrates += [f"{nominal / 1000:.2f} of codes as they are"] if nominal else []
    samples = counted(found["frames"], "sample") if found["complete"] else "samples unknown"
    lines = [
        ("codec", f"{found['codec']}, {counted(found['codebooks'], 'codebook')} of "
                  f"{found['codebook_size']} entries, weights {found['fingerprint']}"),
        ("model", _model(found)),
        ("audio", f"{found['sample_rate']} Hz, {counted(found['channels'], 'channel')}, "
                  f"{format_time(seconds, 3)} ({samples})"),
        ("speakers", _speakers(found["channel_mask"])),
        ("bitrate", ", ".join(bitrates)),
        ("size", f"{counted(found['bytes'], 'byte')}{smaller}"),
        ("chunks", f"{found['chunk_count']} of "
                   f"{found['chunk_stride'] / found['model_rate']:.3f} s"),
        ("entropy", _entropy(found)),
        ("layer", _layer(found)),
        ("gain", f"{found['gain_db']:+.2f} dB, to be undone" if found["gain_db"] else ""),
        ("encoder", f"{found['encoder']}, format {found['format']}"),
        ("state", _state(found)),
    ]  # fmt: skip
    lines += [("tag", f"{name}={_tag(value)}") for name, value in found["tags"].items()]
    text = [shown(found["file"]), *(f"  {k:<8} {printable(v)}" for k, v in lines if v)]
    if "chunks" in found:
        text.append(f"  {'chunk':>7} {'start':>10} {'offset':>10} {'bytes':>7}  codebooks")
        text += [_chunk_line(chunk) for chunk in found["chunks"]]
    return "\n".join(text)


def _model(found: dict[str, Any]) -> str:
    if "made_with" not in found:
        return ""
    return "made with the given one" if found["made_with"] else "made with another than the given"


def _tag(text: str) -> str:
    """Return the text of a tag, of one as long as a picture its length."""
    return text if len(text) <= _LONGEST_TAG else f"({counted(len(text), 'character')})"


def _speakers(mask: int | None) -> str:
    if mask is None:
        return ""
    return f"mask {mask:#x}" if mask else "none"


def _entropy(found: dict[str, Any]) -> str:
    stored, raw = found["payload_bytes"], found["raw_payload_bytes"]
    saved = f"{1 - stored / raw:.1%} saved" if raw else ""
    return ", ".join(filter(None, (found["entropy"], found["entropy_model"], saved)))


def _layer(found: dict[str, Any]) -> str:
    chunks, size = found["layered_chunks"], found["layer_bytes"]
    if not size:
        return ""
    return f"{found['layer']}, {counted(size, 'byte')} in {counted(chunks, 'chunk')}"


def _state(found: dict[str, Any]) -> str:
    state = ["complete" if found["complete"] else "cut off, or its end damaged"]
    if found["damaged"]:
        state.append(f"damaged at {format_spans(found['damaged'])}")
    elif found["damaged"] is None:
        state.append("chunks not checked")
    if found["surplus"]:
        state.append(found["surplus"])
    return ", ".join(state)


def _chunk_line(chunk: dict[str, Any]) -> str:
    place = f"  {chunk['index']:7} {format_time(chunk['start'], 3):>10} {chunk['offset']:10}"
    return f"{place} {chunk['bytes']:7}  {_coding(chunk)}"


def _coding(chunk: dict[str, Any]) -> str:
    if not chunk["intact"]:
        return "damaged"
    layer = chunk["layer_bytes"]
    if not chunk["codebooks"] and not layer:
        return "silent"
    notes = [name for flag, name in (("mid_side", "mid/side"), ("raw", "raw")) if chunk[flag]]
    notes += [f"layer of {counted(layer, 'byte')}"] if layer else []
    return ", ".join([str(chunk["codebooks"]), *notes])
