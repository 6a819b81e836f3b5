"""A chunk through the embedded codec's ONNX graphs, without torch:

neucodec export --onnx -o graphs && python examples/onnx_chunk.py graphs
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from make_clip import clip


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    encoder = onnxruntime.InferenceSession(folder / "encoder.onnx")
    decoder = onnxruntime.InferenceSession(folder / "decoder.onnx")
    facts = json.loads(encoder.get_modelmeta().custom_metadata_map["neucodec"])
    width = facts["chunk_frames"] * facts["hop"] + 2 * facts["context"]
    start = facts["sample_rate"]  # the second second of a clip
    audio = clip(seconds=4)[None, start : start + width, 0]

    level = np.sqrt(np.mean(np.square(audio)))
    [codes] = encoder.run(None, {"audio": audio / level})
    [decoded] = decoder.run(None, {"codes": codes[:, :9]})
    # Away from the ends, where the neighbouring chunks would be added, this is the chunk.
    own = slice(4 * facts["hop"], -4 * facts["hop"])
    heard, wanted = level * decoded[0, own], audio[0, own]
    alike = np.corrcoef(heard, wanted)[0, 1]
    print(f"codes {codes.shape}, correlation with the original {alike:.2f}")


if __name__ == "__main__":
    main()
