"""Raw files to a corpus: two passes, one document in memory at a time.

The first pass reads, normalises, judges and deduplicates, and spools what is kept. Only then is
it known what may be held out, so the second pass parts the spool into training and held-out
text and drops what would leak from one into the other.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.files import write_json, write_text
from hanhua.core.progress import Bar
from hanhua.core.stage import Context, Result
from hanhua.text.clean import Cleaner
from hanhua.text.config import CorpusConfig
from hanhua.text.held_out import Guard, Queue, choose
from hanhua.text.intake import Intake, check_licences, source_files
from hanhua.text.ledger import Ledger
from hanhua.text.questions import read_questions
from hanhua.text.shards import DocumentWriter, ShardWriter, read_documents


def build_corpus(context: Context[CorpusConfig]) -> Result:
    """Run both passes and write the corpus artifact into ``context.out``.

    Raises:
        InputError: for a file that cannot be read, a source without a licence, or when nothing
            of a language is left.
    """
    config = context.config
    check_licences(config)
    files = source_files(config)
    questions = [q for pattern in config.contamination
                 for path in outside_files(pattern, "corpus.contamination")
                 for q in read_questions(path)]  # fmt: skip
    spool = context.work / "spool"
    shutil.rmtree(spool, ignore_errors=True)
    ledger = Ledger()
    intake = Intake(config, Cleaner(config, questions), ledger, spool)
    total = sum(path.stat().st_size for _, path in files)
    with context.progress.bar("cleaning", total=total, unit="B") as bar:
        for number, path in files:
            intake.read(number, path, bar)
    queues = intake.close()
    _check_not_empty(config, ledger, queues)
    kept = sum(queue.documents for queues_ in queues.values() for queue in queues_.values())
    with context.progress.bar("splitting", total=kept, unit="doc") as bar:
        for language in sorted(queues):
            _second_pass(context, ledger, spool / f"{language}.parquet", queues[language], bar)
    shutil.rmtree(spool)
    write_json(
        context.out / "ledger.json",
        {**ledger.as_dict(), "contamination": intake.cleaner.contamination},
    )
    lines = [json.dumps(s, ensure_ascii=False, sort_keys=True) + "\n" for s in ledger.samples]
    write_text(context.out / "dropped.jsonl", "".join(lines))
    return _result(ledger, intake.cleaner.contamination)


def _result(ledger: Ledger, contamination: Mapping[str, int | str]) -> Result:
    totals = ledger.as_dict()["totals"]
    counts = {key: totals[key] for key in ("in", "kept", "held_out")}
    return Result(
        counts={**counts, "dropped": sum(totals["dropped"].values())},
        metrics={
            "languages": totals["languages"],
            "dropped": totals["dropped"],
            "contamination": contamination,
        },
    )


def _check_not_empty(
    config: CorpusConfig, ledger: Ledger, queues: Mapping[str, Mapping[str, Queue]]
) -> None:
    for language in dict.fromkeys(source.language for source in config.sources):
        if language in queues:
            continue
        accounts = [a for a in ledger.accounts if a.language == language]
        drops = sum((a.dropped for a in accounts), Counter[str]())
        shown = ", ".join(f"{reason} {count}" for reason, count in sorted(drops.items()))
        samples = [str(s["where"]) for s in ledger.samples if s["language"] == language]
        names = samples or [file.name for account in accounts for file in account.files]
        raise InputError(
            f"No document in language {language!r} is left.", where="corpus.sources",
            found=f"{sum(a.read for a in accounts)} read; dropped: {shown or 'none'} "
            f"(e.g. {names[0]})",
            fix="look at the files, the declared language and the corpus section's limits",
        )  # fmt: skip


def _second_pass(
    context: Context[CorpusConfig], ledger: Ledger, spool: Path, queues: Mapping[str, Queue],
    bar: Bar,
) -> None:  # fmt: skip
    """Part one language's spool into held-out and training text."""
    language = spool.stem
    chosen = choose(context.config.held_out_docs, queues)
    held_out = [d for n, d in enumerate(read_documents(spool)) if n in chosen] if chosen else []
    with DocumentWriter(context.out / "held_out" / f"{language}.parquet") as writer:
        for document in held_out:
            writer.write(document)
            ledger.of(document).held_out.add(document.text)
    guard = Guard(held_out)
    train = ShardWriter(context.out / "train", language)
    for number, document in enumerate(read_documents(spool)):
        bar.advance()
        if number in chosen:
            continue
        account = ledger.of(document)
        drop = guard.check(document.text)
        if drop:
            ledger.drop(account, drop, document.id, document.text)
        else:
            train.write(document)
            account.train.add(document.text)
    train.close()
