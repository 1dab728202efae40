#!/usr/bin/env python3
"""Makes the prepared data sets of README.md from their published sources.

    prepare.py SITE_PACKAGES ARCHIVES OUT_DIR

SITE_PACKAGES holds the installed chatterbot-corpus, ARCHIVES holds vaderSentiment-2.5.tar.gz; nothing is
fetched. A file already whole in OUT_DIR stays as it is; an interrupted run leaves no half file behind. Ends
with 1 and one line on stderr when a source is missing or not as expected.
"""
import csv
import io
import json
import os
import re
import sys
import tarfile
import time
import zlib
from pathlib import Path

CORPUS = "chatterbot_corpus/data/english"
# Where answers inform or assist. The rest is small talk and quarrels, and coding that lost every "[0]".
TOPICS = ("tech_support", "computers", "greetings", "botprofile", "literature", "trivia")
DIALOGUE_KEYS = ["prompt", "completion", "topic"]

ARCHIVE = "vaderSentiment-2.5.tar.gz"
INNER_ARCHIVE = "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz"
SNIPPETS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
REVIEW_COLUMNS = ["text", "label", "score"]
TEST_EVERY = 5


class SourceError(Exception):
    """A source is missing or not as expected; the message says which, and what to do."""


def read_scalar(text, where):
    """A YAML scalar on one line: plain, 'single quoted', or "double quoted" without escapes."""
    quote = text[:1]
    if quote in ("'", '"'):
        inner = text[1:-1]
        if len(text) < 2 or text[-1] != quote or "\\" in inner and quote == '"':
            raise SourceError(f"{where}: expected a quoted text without escapes, got {text}")
        return inner.replace("''", "'") if quote == "'" else inner
    if quote in "|>&*!%@`{[#?" or ": " in text or " #" in text:
        raise SourceError(f"{where}: expected a plain or quoted text, got {text}")
    return text


def read_conversations(path):
    """The conversations of a corpus file, each a list of statements.

    Reads the corpus' subset of YAML: "- - " starts a conversation, "  - " adds a statement, and another
    indented line goes on with the one before, joined by a space. A conversation without its second dash
    (trivia.yml has one) is read as it was meant.
    """
    conversations, in_conversations = [], False
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: expected UTF-8 ({error})") from error
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path}:{number}"
        starts = re.match(r"- (?:- )?(.*)", line)
        adds = re.match(r"  - (.*)", line)
        goes_on = re.match(r" {2,}(\S.*)", line)
        if re.fullmatch(r"\w+:\s*", line):
            in_conversations = line.startswith("conversations:")
        elif not line.strip() or not in_conversations:
            continue
        elif starts:
            conversations.append([(where, starts[1].strip())])
        elif conversations and adds:
            conversations[-1].append((where, adds[1].strip()))
        elif conversations and goes_on:
            begun, said = conversations[-1][-1]
            conversations[-1][-1] = (begun, f"{said} {goes_on[1].strip()}")
        else:
            raise SourceError(f"{where}: expected a statement of a conversation, got {line}")
    return [[read_scalar(said, where).strip() for where, said in lines] for lines in conversations]


def dialogue_rows(site_packages):
    """Each conversation's first statement with each of its answers, every pair once.

    Texts that differ in case and spacing alone count as the same; an answer equal to its prompt is left out.
    """
    seen = set()
    for topic in TOPICS:
        path = site_packages / CORPUS / f"{topic}.yml"
        if not path.is_file():
            raise SourceError(f"{path} is missing: install chatterbot-corpus into {site_packages}")
        for prompt, *answers in read_conversations(path):
            for answer in answers:
                key = tuple(" ".join(text.split()).casefold() for text in (prompt, answer))
                if all(key) and key[0] != key[1] and key not in seen:
                    seen.add(key)
                    yield prompt, answer, topic


def write_dialogues(rows, out):
    count = 0
    for row in rows:
        out.write(json.dumps(dict(zip(DIALOGUE_KEYS, row)), ensure_ascii=False) + "\n")
        count += 1
    return count


def read_dialogues(file):
    for line in file:
        row = json.loads(line)
        if list(row) != DIALOGUE_KEYS:
            raise ValueError(f"expected {DIALOGUE_KEYS}, got {list(row)}")
        yield row


def review_rows(archives, test):
    """The scored movie-review snippets in their file's order, those for the test or those for training; lines without
    exactly 3 fields do not count."""
    path = archives / ARCHIVE
    if not path.is_file():
        raise SourceError(f"{path} is missing: put the source archive of vaderSentiment 2.5 there")
    try:
        with tarfile.open(path) as outer, tarfile.open(fileobj=outer.extractfile(INNER_ARCHIVE)) as inner:
            text = inner.extractfile(SNIPPETS).read().decode("utf-8", errors="replace")
    except (KeyError, EOFError, OSError, tarfile.TarError, zlib.error) as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise SourceError(f"{path}: cannot read {SNIPPETS} in it ({reason}); get the archive anew") from error
    rows = (line.rstrip("\n").split("\t") for line in io.StringIO(text, newline=None))
    for index, (_, score, snippet) in enumerate(fields for fields in rows if len(fields) == 3):
        try:
            label = "positive" if float(score) > 0 else "negative"
        except ValueError as error:
            raise SourceError(f"{SNIPPETS}, row {index}: expected a score, got {score}") from error
        if (index % TEST_EVERY == 0) == test:
            yield snippet, label, score


def write_reviews(rows, out):
    table = csv.writer(out, lineterminator="\n")
    table.writerow(REVIEW_COLUMNS)
    count = 0
    for count, row in enumerate(rows, 1):
        table.writerow(row)
    return count


def read_reviews(file):
    table = csv.reader(file, strict=True)
    if next(table, None) != REVIEW_COLUMNS:
        raise ValueError(f"expected the columns {REVIEW_COLUMNS}")
    for row in table:
        if len(row) != len(REVIEW_COLUMNS):
            raise ValueError(f"expected {len(REVIEW_COLUMNS)} cells, got {len(row)}")
        yield row


def is_whole(path, read, rows):
    """Whether a file made earlier reads well and has all its rows."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return sum(1 for _ in read(file)) == rows
    except (FileNotFoundError, ValueError, csv.Error):
        return False


def prepare(path, make_rows, write, read, expected):
    """Makes a file unless it is there; prints its rows and the seconds they took."""
    begin = time.monotonic()
    if is_whole(path, read, expected):
        print(f"{path.name}: {expected} rows, already there")
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            rows = write(make_rows(), out)
            out.flush()
            os.fsync(out.fileno())
        if rows != expected:
            raise SourceError(f"{path.name}: expected {expected} rows, got {rows}; is this another version?")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    print(f"{path.name}: {rows} rows in {time.monotonic() - begin:.2f} s")


def main(arguments):
    if len(arguments) != 3:
        print("usage: prepare.py SITE_PACKAGES ARCHIVES OUT_DIR", file=sys.stderr)
        return 2
    site_packages, archives, out_dir = map(Path, arguments)
    catalogue = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    rows = {entry["file"]: entry["rows"] for entry in catalogue}
    rows |= {entry["held_out"]: entry["held_out_rows"] for entry in catalogue if "held_out_rows" in entry}
    makers = {
        "support-dialogues.jsonl": (lambda: dialogue_rows(site_packages), write_dialogues, read_dialogues),
        "movie-reviews.csv": (lambda: review_rows(archives, False), write_reviews, read_reviews),
        "movie-reviews-test.csv": (lambda: review_rows(archives, True), write_reviews, read_reviews),
    }
    failed = False
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, (make_rows, write, read) in makers.items():
            try:
                prepare(out_dir / name, make_rows, write, read, rows[name])
            except SourceError as error:  # the other file may still be made
                print(f"prepare.py: {error}", file=sys.stderr)
                failed = True
    except OSError as error:
        print(f"prepare.py: {error}", file=sys.stderr)
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
