#!/usr/bin/env python3
"""Writes metrics.json: predictions and what scikit-learn, scipy and sacreBLEU say of them.

    pip install scikit-learn==1.9.1 scipy==1.17.1 sacrebleu==2.6.0     # in an environment of its own
    python tests/golden/metrics.py
"""

import json
import pathlib
import random

import numpy
import scipy.stats
import sklearn.metrics as sk
from sacrebleu.metrics import CHRF

draw = random.Random(7)


def per_class(expected, predicted, labels):
    precision, recall, f1, rows = sk.precision_recall_fscore_support(expected, predicted, labels=labels, zero_division=0)
    return {"precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(), "rows": rows.tolist()}


def classification(name, classes, rows, right, never=()):
    expected = [draw.randrange(classes) for _ in range(rows)]
    said = [c for c in range(classes) if c not in never]
    predicted = [e if e in said and draw.random() < right else draw.choice(said) for e in expected]
    labels = list(range(classes))
    return {"name": name, "classes": classes, "expected": expected, "predicted": predicted,
            "accuracy": sk.accuracy_score(expected, predicted),
            "macro_f1": sk.f1_score(expected, predicted, average="macro", zero_division=0),
            "confusion": sk.confusion_matrix(expected, predicted, labels=labels).tolist()} | per_class(expected, predicted, labels)


def multi_label(name, labels, rows, right, empty=()):
    expected = [[int(draw.random() < 0.3 and c not in empty) for c in range(labels)] for _ in range(rows)]
    predicted = [[v if draw.random() < right else 1 - v for v in row] for row in expected]
    if empty:
        predicted = [[v if c not in empty else 0 for c, v in enumerate(row)] for row in predicted]
    e, p = numpy.array(expected), numpy.array(predicted)
    return {"name": name, "labels": labels, "expected": expected, "predicted": predicted, "exact": sk.accuracy_score(e, p),
            "micro_f1": sk.f1_score(e, p, average="micro", zero_division=0),
            "macro_f1": sk.f1_score(e, p, average="macro", zero_division=0)} | per_class(e, p, None)


def regression(name, expected, predicted):
    return {"name": name, "expected": expected, "predicted": predicted,
            "mean_squared_error": sk.mean_squared_error(expected, predicted),
            "mean_absolute_error": sk.mean_absolute_error(expected, predicted),
            "pearson": float(scipy.stats.pearsonr(expected, predicted).statistic),
            "spearman": float(scipy.stats.spearmanr(expected, predicted).statistic)}


def text(name, expected, given):
    return {"name": name, "expected": expected, "given": given, "chrf": CHRF().corpus_score(given, [expected]).score,
            "sentences": [CHRF().corpus_score([g], [[e]]).score for e, g in zip(expected, given)]}


noisy = [draw.gauss(0, 1) for _ in range(80)]
stars = [float(draw.randrange(5)) for _ in range(120)]
ENGLISH = ["The cat sat on the mat.", "Please freeze your card in the app at once.", "Yes", "I do not know", "a  b\tc\nd"]
ANSWERS = ["The cat is sitting on a mat.", "Freeze the card in your app now, please.", "yes", "", "ab cd"]
SCRIPTS = ["Ich möchte Käse kaufen", "我想买一张票", "कृपया मेरी मदद करें", "مرحبا بالعالم", "👩‍👩‍👧 and 🇩🇪", "e\u0301te\u0301"]
GIVEN = ["Ich moechte Käse kaufen", "我要买两张票", "कृपया मदद", "مرحبا يا عالم", "👩‍👩‍👦 and 🇫🇷", "\u00e9t\u00e9"]
BLANKS = ["no\u00a0break\u2003em\u3000wide\u001cfile", "line\u2028sep\u0085next"]
JOINED = ["no break em wide file", "linesep\u200bnext"]
SHORT = ["ab", "", "abcdefgh", "xyz"]
SHORTER = ["abc", "something", "a", "xyz"]
golden = {
    "classification": [classification("two", 2, 60, 0.8), classification("seven", 7, 300, 0.6),
                       classification("never predicted", 5, 90, 0.7, never=(3,)), classification("one row", 3, 1, 1.0),
                       classification("chance", 4, 200, 0.0)],
    "multi_label": [multi_label("some", 5, 80, 0.85), multi_label("a label nobody has", 4, 50, 0.9, empty=(2,)),
                    multi_label("two labels", 2, 40, 0.7), multi_label("noise", 6, 60, 0.5)],
    "regression": [regression("noise", noisy, [0.6 * v + draw.gauss(0.2, 0.5) for v in noisy]),
                   regression("ties", stars, [float(round(min(4, max(0, v + draw.gauss(0, 0.8))))) for v in stars]),
                   regression("large and near", [1e6 + v * 1e-3 for v in noisy], [1e6 + v * 2e-3 for v in noisy]),
                   regression("upside down", [1.0, 2.0, 3.0, 4.0], [10.0, 7.0, 7.0, -2.0])],
    "text": [text("English", ENGLISH, ANSWERS), text("scripts", SCRIPTS, GIVEN), text("blanks", BLANKS, JOINED),
             text("short", SHORT, SHORTER), text("equal", ENGLISH[:4], ENGLISH[:4]), text("nothing in common", ["abc"], ["xyz"]),
             text("empty answers", ["abc", "de"], ["", ""])],
}
target = pathlib.Path(__file__).parent / "metrics.json"
target.write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n")
print(target.stat().st_size, "bytes")
