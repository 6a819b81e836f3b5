"""The .ncf container: header, chunks, trailer, read and written. See NCF.md."""
