"""Put codes into tables of Arrow, which Parquet files hold, and say of them what they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from .file_tokens import FileTokens

if TYPE_CHECKING:
    import pyarrow


def arrow_table(rows: list[tuple[str, FileTokens]]) -> pyarrow.Table:
    """Return a table with a row for each (name, tokens) of a file.

    Its columns are the name as ``path`` and the fields of `FileTokens`, arrays as nested lists,
    whose offsets have 64 bits. Its schema says so to the library ``datasets``, too.
    """
    import pyarrow

    def column(name: str) -> Any:
        values = [getattr(tokens, name) for _, tokens in rows]
        if not isinstance(values[0], np.ndarray):
            return pyarrow.array(values)
        flat = pyarrow.array(np.concatenate([value.reshape(-1) for value in values]))
        for depth in range(values[0].ndim - 1, -1, -1):
            lengths = [np.full(int(np.prod(v.shape[:depth])), v.shape[depth]) for v in values]
            offsets = np.concatenate([[0], *lengths]).cumsum().astype(np.int64)
            flat = pyarrow.LargeListArray.from_arrays(pyarrow.array(offsets), flat)
        return flat

    names = list(FileTokens.__dataclass_fields__)
    columns = {"path": pyarrow.array([path for path, _ in rows])}
    columns |= {name: column(name) for name in names}
    table = pyarrow.table(columns)
    features = {field.name: _feature(field.type) for field in table.schema}
    described = json.dumps({"info": {"features": features}})
    return table.replace_schema_metadata({"huggingface": described})


def _feature(kind: Any) -> dict[str, Any]:
    """Return what the library ``datasets`` calls a type of Arrow."""
    import pyarrow

    if pyarrow.types.is_large_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "LargeList"}
    names = {"double": "float64", "float": "float32"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
