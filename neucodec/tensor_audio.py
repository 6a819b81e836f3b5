"""Take audio as those who work with tensors have it in hand, or refuse it in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neucodec.audio.resample import BlockResampler
from neucodec.audio.samples import LOUDEST

from .arguments import whole_number
from .errors import GivenTypeError, GivenValueError

if TYPE_CHECKING:
    from torch import Tensor

SHAPES = "[samples], [channels, samples] or [batch, channels, samples]"
_FULL_SCALE = {"torch.int16": 2.0**15, "torch.int32": 2.0**31}
"""What 1.0 is in integers, by their type."""
_MAX_CHANNELS = 255


def batch_of(audio: Any) -> Tensor:
    """Return audio as floats [batch, channels, samples], full scale being 1, on its own device.

    ``audio`` is a tensor, or what NumPy makes an array of, in one of `SHAPES`: floats, or integers
    of 16 or 32 bits. Raises GivenTypeError and GivenValueError.
    """
    tensor = _tensor_of(audio)
    shape, kind = list(tensor.shape), tensor.dtype
    if not 1 <= tensor.ndim <= 3 or not tensor.numel():
        raise GivenValueError(f"audio of shape {shape} and {kind}: give {SHAPES}, with samples")
    if not tensor.is_floating_point():
        if str(kind) not in _FULL_SCALE:
            raise GivenTypeError(_no_audio(kind))
        tensor = (tensor.double() / _FULL_SCALE[str(kind)]).float()
    batch = tensor.reshape((1,) * (3 - tensor.ndim) + tuple(shape))
    if batch.shape[1] > _MAX_CHANNELS:
        raise GivenValueError(
            f"audio of shape {shape}: {batch.shape[1]} channels, and at most {_MAX_CHANNELS} are "
            f"possible; give {SHAPES}, samples last"
        )
    _check_samples(batch)
    return batch


def lengths_of(lengths: Any, mask: Any, audio: Tensor) -> list[int]:
    """Return the samples of each signal in a batch, by their number or by a mask [batch, samples]
    that is true for a signal's own, which come first. Raises GivenValueError.
    """
    import torch

    batch, samples = len(audio), audio.shape[-1]
    if lengths is None and mask is None:
        return [samples] * batch
    if mask is not None:
        if lengths is not None:
            raise GivenValueError("both lengths and a mask: give either")
        own = torch.as_tensor(mask).bool().cpu()
        if own.shape != (batch, samples):
            raise GivenValueError(
                f"a mask of shape {list(own.shape)}: give [batch, samples], that is "
                f"{[batch, samples]} here"
            )
        if bool((own[:, 1:] & ~own[:, :-1]).any()):
            raise GivenValueError("a mask with holes: true comes first, false behind the end")
        lengths = own.sum(1)
    found = list(torch.as_tensor(lengths).reshape(-1).tolist())
    if len(found) != batch:
        raise GivenValueError(f"{len(found)} lengths for {batch} signals: give one for each")
    return [whole_number("a length", value, 1, samples) for value in found]


def rate_of(sample_rate: Any, default: int) -> int:
    """Return a sample rate in Hz, ``default`` where it is None."""
    return default if sample_rate is None else whole_number("sample_rate", sample_rate, 1)


def resampled(signal: Any, rate: int, to_rate: int) -> Any:
    """Bring samples [channels, n], float32, to another rate: ceil(n * to_rate / rate) of them.

    What comes out does not depend on how many channels there are. Raises NeucodecError for rates
    that cannot be converted.
    """
    if rate == to_rate:
        return signal
    resampler = BlockResampler(rate, to_rate, len(signal))
    parts = [resampler.push(np.ascontiguousarray(signal.T)), resampler.finish()]
    return np.ascontiguousarray(np.concatenate(parts).T)


def _tensor_of(audio: Any) -> Tensor:
    import torch

    if isinstance(audio, torch.Tensor):
        return audio.detach()
    try:
        array = np.asarray(audio)
        if array.dtype.kind not in "fi":
            raise GivenTypeError(
                f"audio of {array.dtype}: give floats, full scale being 1, or int16"
            )
        native = array.astype(array.dtype.newbyteorder("="))
        return torch.from_numpy(native if native.dtype != np.longdouble else native.astype(float))
    except GivenTypeError:
        raise
    except (TypeError, ValueError, RuntimeError):
        raise GivenTypeError(
            f"audio given as {type(audio).__name__}: give a tensor or an array {SHAPES}"
        ) from None


def _no_audio(kind: object) -> str:
    return f"audio of {kind}: give floats, full scale being 1, or int16"


def _check_samples(batch: Tensor) -> None:
    import torch

    if not bool(torch.isfinite(batch).all()):
        raise GivenValueError("audio with NaN or infinity in it: give finite samples")
    if (most := float(batch.abs().max())) > LOUDEST:
        raise GivenValueError(
            f"samples up to {most:g}: give floats, full scale being 1 and {LOUDEST:g} the most"
        )
