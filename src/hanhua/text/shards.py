"""Documents on disk: zstd Parquet shards whose bytes depend only on the documents.

Parquet because every data tool reads it, zstd because it halves jsonl and reads faster than gz.
Row groups are cut by characters, so that reading needs memory for one group, not for one shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from hanhua.core.errors import ArtifactError, InputError
from hanhua.core.files import storage_errors
from hanhua.text.document import Document
from hanhua.text.domains import domain_of, language_of

COLUMNS = ("id", "text", "language", "source", "licence")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
ROW_GROUP_CHARS = 4_000_000
ROW_GROUP_DOCS = 20_000
SHARD_CHARS = 256_000_000
NUMBER = "[0-9]" * 5

Split = Literal["train", "held_out"]


class DocumentWriter:
    """Appends documents to one Parquet file, in order.

    Use it as a context manager; a file without documents is still a readable, empty file.

    Args:
        path: the file; its folder is made.
        compression: zstd to keep, lz4 for what is read once and thrown away.
    """

    def __init__(self, path: Path, compression: Literal["zstd", "lz4"] = "zstd") -> None:
        self.path = path
        self.documents = 0
        self._rows: list[Document] = []
        self._chars = 0
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pq.ParquetWriter(
                path, SCHEMA, compression=compression,
                compression_level=3 if compression == "zstd" else None,
                use_dictionary=["language", "source", "licence"], write_statistics=False,
                store_schema=False,
            )  # fmt: skip

    def write(self, document: Document) -> None:
        """Append one document."""
        self._rows.append(document)
        self._chars += len(document.text)
        self.documents += 1
        if self._chars >= ROW_GROUP_CHARS or len(self._rows) >= ROW_GROUP_DOCS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = [[getattr(row, name) for row in self._rows] for name in COLUMNS]
        table = pa.table([pa.array(c, pa.string()) for c in columns], schema=SCHEMA)
        with storage_errors(self.path):
            self._file.write_table(table, row_group_size=len(self._rows))
        self._rows, self._chars = [], 0

    def close(self) -> None:
        """Write what is left and the footer."""
        try:
            self._flush()
        finally:
            with storage_errors(self.path):
                self._file.close()

    def __enter__(self) -> DocumentWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class ShardWriter:
    """Appends documents to ``<folder>/<language>-00000.parquet``, ``-00001`` and so on.

    Args:
        folder: made when the first document comes.
        language: the files' prefix.
        shard_chars: a new file is begun once one holds this many characters.
    """

    def __init__(self, folder: Path, language: str, shard_chars: int = SHARD_CHARS) -> None:
        self.folder, self.language, self.shard_chars = folder, language, shard_chars
        self.shards = 0
        self._chars = 0
        self._writer: DocumentWriter | None = None

    def write(self, document: Document) -> None:
        """Append one document."""
        if self._writer is None or self._chars >= self.shard_chars:
            self.close()
            self._writer = DocumentWriter(
                self.folder / f"{self.language}-{self.shards:05d}.parquet"
            )
            self.shards, self._chars = self.shards + 1, 0
        self._writer.write(document)
        self._chars += len(document.text)

    def close(self) -> None:
        """Close the open shard."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Write one Parquet file of documents, in the order given.

    Args:
        path: the file; its folder is made.
        documents: consumed once; one row group at a time is held in memory.

    Returns:
        How many documents were written.

    Raises:
        StorageError: when the disk is full or may not be written.
    """
    with DocumentWriter(path) as writer:
        for document in documents:
            writer.write(document)
    return writer.documents


def read_documents(path: Path) -> Iterator[Document]:
    """Read the documents of a Parquet file, or of all ``*.parquet`` in a folder by name.

    Raises:
        InputError: when there is no such file, or it has other columns.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise InputError(
            "No Parquet file of documents here.", where=path,
            fix="give the corpus folder or one of its .parquet files",
        )  # fmt: skip
    for file in files:
        yield from _read_file(file)


def _read_file(file: Path) -> Iterator[Document]:
    try:
        with pq.ParquetFile(file) as reader:
            missing = [name for name in COLUMNS if name not in reader.schema_arrow.names]
            if missing:
                raise InputError(
                    "This Parquet file does not hold documents.", where=file,
                    found=f"no column {', '.join(missing)}",
                    fix=f"give a file with the columns {', '.join(COLUMNS)}",
                )  # fmt: skip
            for group in range(reader.num_row_groups):
                table = reader.read_row_group(group, columns=list(COLUMNS))
                columns = [table.column(name).to_pylist() for name in COLUMNS]
                for row in zip(*columns, strict=True):
                    yield Document(*row)
    except pa.ArrowInvalid as error:
        raise InputError(
            "This Parquet file cannot be read.", where=file, found=error,
            fix="make it again; it may have been cut off",
        ) from error  # fmt: skip


def read_language(corpus: Path, language: str, split: Split = "train") -> Iterator[Document]:
    """Read one language of a corpus artifact, or one domain of it, in its order.

    Args:
        corpus: the artifact's folder.
        language: e.g. "zh", or "zh/news".
        split: "train" or "held_out".

    Raises:
        ArtifactError: when the corpus has no such language.
    """
    files = language_files(corpus, language, split)
    if not files:
        wanted = f"`language: {language_of(language)}`"
        if domain_of(language):
            wanted += f" and `domain: {domain_of(language)}`"
        raise ArtifactError(
            f"The corpus has no {split.replace('_', '-')} text in this language.", where=corpus,
            found=f"asked for {language!r}, has {', '.join(keys_in(corpus)) or 'none'}",
            fix=f"add a source with {wanted} to the recipe's corpus section",
        )  # fmt: skip
    for file in files:
        yield from _read_file(file)


def language_files(corpus: Path, language: str, split: Split = "train") -> list[Path]:
    """The Parquet files of one language and split, in reading order; empty when there are none.

    Text of a domain has a folder: ``train/zh/news-00000.parquet``. Held-out text of a language is
    whole in one file, ``held_out/zh.parquet``; ``held_out/zh/news.parquet`` repeats what of it is
    of that domain. So a language is measured on the same documents with domains and without.

    Args:
        corpus: the artifact's folder.
        language: e.g. "zh", or "zh/news".
        split: "train" or "held_out".
    """
    if split == "held_out":
        return [p for p in [corpus / "held_out" / f"{language}.parquet"] if p.exists()]
    # A domain's name may end in digits too.
    number = NUMBER if domain_of(language) else "[0-9]*"
    own = (corpus / "train").glob(f"{language}-{number}.parquet")
    return [*sorted(own), *sorted((corpus / "train" / language).glob(f"*-{NUMBER}.parquet"))]


def keys_in(corpus: Path) -> list[str]:
    """The languages and domains that a corpus artifact has training text of: zh, zh/news."""
    train = corpus / "train"
    files = [path.relative_to(train) for path in train.glob(f"**/*-{NUMBER}.parquet")]
    return sorted({file.as_posix().rsplit("-", 1)[0] for file in files})


def share_files(corpus: Path, key: str, keys: Iterable[str]) -> list[Path]:
    """The training files that a share is taken from; no file is in two shares.

    A language named alone stands for all its documents but those of its domains that are named.

    Args:
        corpus: the artifact's folder.
        key: of the share, e.g. "zh" or "zh/news".
        keys: of all shares, those of 0 too.
    """
    others = {path for other in keys if other != key and language_of(other) == key
              for path in language_files(corpus, other)}  # fmt: skip
    return [path for path in language_files(corpus, key) if path not in others]
