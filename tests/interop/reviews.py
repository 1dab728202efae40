"""Movie reviews as bytes (3 reserved tokens before them), in padded batches for each kind of tiny model: T5 goes on with a review's
first half, BERT tells good from bad, the others tell the next byte."""
import csv

from peers import DEPS


def batches(kind, count, rows, length, first_too=True):
    """`count` batches of `rows` reviews cut at `length` bytes; `first_too`: whether a decoder's first token is a target."""
    reviews = list(csv.DictReader(open(DEPS / "datasets/movie-reviews.csv", encoding="utf-8")))[:count * rows]
    texts = [[b + 3 for b in r["text"].encode()[:length]] for r in reviews]
    classes = [int(r["label"] == "positive") for r in reviews]
    steps = []
    for first in range(0, len(texts), rows):
        part = texts[first:first + rows]
        asked = [row[:len(row) // 2] + [1] for row in part] if kind == "t5" else part
        labels = ([classes[first + i] for i in range(len(part))] if kind == "bert" else
                  padded([row[len(row) // 2:] + [1] for row in part], -100) if kind == "t5" else
                  padded(part if first_too else [[-100] + row[1:] for row in part], -100))
        steps.append(dict(input_ids=padded(asked, 0), attention_mask=[[1] * len(r) + [0] * (max(map(len, asked)) - len(r)) for r in asked],
                          labels=labels))
    return steps


def padded(rows, value):
    width = max(map(len, rows))
    return [row + [value] * (width - len(row)) for row in rows]
