"""The command lines of the packages encodec and dac, with random weights and soundfile as reader.

    python benchmarks/peer_programs.py weights FOLDER
    TORCH_HOME=FOLDER python benchmarks/peer_programs.py encodec -f in.wav out.ecdc
    python benchmarks/peer_programs.py dac encode in.wav --weights_path FOLDER/dac-44khz.pth ...

For `benchmarks/peers.py`, in an environment made by ``.ci/install-peers``. The packages read files
through torchcodec and librosa, which that environment lacks; here they read with soundfile, which
is if anything quicker, and filter with scipy instead of torchaudio's native code. Nothing else of
them is changed.
"""

from __future__ import annotations

import runpy
import sys
import types
import warnings
from pathlib import Path
from typing import Any


def weights(folder: Path) -> None:
    """Save untrained models where the packages' command lines look for trained ones."""
    import dac
    import torch
    from encodec import EncodecModel

    torch.manual_seed(0)
    (folder / "hub" / "checkpoints").mkdir(parents=True, exist_ok=True)
    for make, name in (
        (EncodecModel.encodec_model_24khz, "encodec_24khz-d7cc33bc.th"),
        (EncodecModel.encodec_model_48khz, "encodec_48khz-7e698e3e.th"),
    ):
        model = make(pretrained=False)
        for layer in model.quantizer.vq.layers:
            torch.nn.init.normal_(layer._codebook.embed)
        torch.save(model.state_dict(), folder / "hub" / "checkpoints" / name)
    dac.DAC().save(folder / "dac-44khz.pth", package=False)


def read_with_soundfile() -> None:
    """Stand in for the two readers."""
    import soundfile

    def load(path: Any, **_: Any) -> tuple[Any, int]:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return audio.T, rate

    stub = types.ModuleType("librosa")
    stub.load = load  # type: ignore[attr-defined]
    sys.modules["librosa"] = stub
    if sys.argv[1] == "encodec":
        import torch
        import torchaudio

        def save(path: Any, audio: Any, sample_rate: int, **_: Any) -> None:
            soundfile.write(path, audio.numpy().T, sample_rate, subtype="PCM_16")

        def load_tensor(path: Any) -> tuple[Any, int]:
            audio, rate = load(path)
            return torch.from_numpy(audio), rate

        torchaudio.load, torchaudio.save = load_tensor, save


def filter_with_scipy() -> None:
    """Stand in for torchaudio's recursive filter, which without its native library goes sample by
    sample in Python: minutes of measuring loudness that nobody who installs it whole has."""
    import scipy.signal
    import torch
    import torchaudio

    def lfilter(waveform: Any, a_coeffs: Any, b_coeffs: Any, **_: Any) -> Any:
        filtered = scipy.signal.lfilter(b_coeffs.numpy(), a_coeffs.numpy(), waveform.numpy())
        return torch.from_numpy(filtered).to(waveform.dtype)

    torchaudio.functional.lfilter = lfilter


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] == "weights":
        weights(Path(sys.argv[2]))
    else:
        read_with_soundfile()
        program = sys.argv[1]
        if program == "dac":
            filter_with_scipy()
        sys.argv = sys.argv[1:]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
