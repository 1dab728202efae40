"""Overfitting, and what holds it off: 60 rows, LoRA r 64 on all linear layers, as many steps as 40 epochs of them take. Four curves of
validation loss: plain, with dropout, with augmentation (three variants a row), with both; and a fifth run whose early stopping ends it
and restores the best adapter.

    overfit.py reviews|support QLORA DEPS WORK [--seed 1] [--write docs/performance.md] [--picture PICTURE.svg]

reviews: sentiment by all-MiniLM-L6-v2, minutes. support: answers of a bank's desk by SmolLM2-135M in bf16, half an hour to hours.
Runs that WORK already holds are not done again.
"""
import argparse
import csv
import json
import pathlib

from report import machine, write_section
from runs import RECIPES, Program, event

arguments = argparse.ArgumentParser()
arguments.add_argument("data", choices=["reviews", "support"])
arguments.add_argument("qlora"), arguments.add_argument("deps", type=pathlib.Path), arguments.add_argument("work", type=pathlib.Path)
arguments.add_argument("--seed", type=int, default=1), arguments.add_argument("--write"), arguments.add_argument("--picture")
options = arguments.parse_args()
program = Program(options.qlora, options.work)

ROWS, EPOCHS, BATCH = 60, 40, 6
STEPS = EPOCHS * ROWS // BATCH
AUGMENT = {"data.augment.copies": 3, "data.augment.synonyms": 0.2, "data.augment.swap": 0.1, "data.augment.deletion": 0.1}
RUNS = {
    "plain": {},
    "dropout 0.3": {"method.dropout": 0.3},
    "augmentation": AUGMENT,
    "dropout and augmentation": {"method.dropout": 0.3, **AUGMENT},
    "plain, early stopping": {"early_stopping.patience": 4},
}


def reviews():
    """30 rows of either label, 400 to validate on, the held-out file."""
    def read(name):
        return [{"text": row["text"], "label": row["label"]} for row in csv.DictReader((options.deps / "datasets" / name).open())]
    rows = read("movie-reviews.csv")
    train = [row for label in ("positive", "negative") for row in [row for row in rows if row["label"] == label][:ROWS // 2]]
    return {"train": train, "validation": rows[-400:], "test": read("movie-reviews-test.csv")}


def support():
    """Equally many of all kinds of question, as the file goes through them in turn."""
    rows = [json.loads(line) for line in (RECIPES.parent / "datasets/banking-support.jsonl").read_text().splitlines()]
    return {"train": rows[:ROWS], "validation": rows[ROWS:ROWS + 40], "test": rows[-150:]}


parts, example, rate, unit = {"reviews": (reviews, "sentiment.json", 1e-4, "nats / row"),
                              "support": (support, "banking-support.json", 3e-4, "nats / token")}[options.data]
recipe = json.loads((RECIPES / example).read_text())
recipe["precision"] = "bf16"
recipe["data"] = {"max_length": recipe["data"]["max_length"]}
for part, rows in parts().items():
    recipe["data"][part] = str(program.work / f"{part}.jsonl")
    pathlib.Path(recipe["data"][part]).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
recipe["method"] = {"kind": "lora", "rank": 64, "alpha": 64}
recipe["train"] = {"max_steps": STEPS, "batch_size": BATCH, "learning_rate": rate, "schedule": "constant", "warmup": 0, "weight_decay": 0, "seed": options.seed}
recipe["evaluate"] = {"every": ROWS // BATCH, "samples": 0, "max_rows": 0}
recipe_file = program.work / "recipe.json"
recipe_file.write_text(json.dumps(recipe))

table = ["| | lowest validation loss | at epoch | validation loss at the end | steps | test loss of the adapter saved |", "|---|---|---|---|---|---|"]
curves = {}
for name, settings in RUNS.items():
    folder = program.work / f"{name}-{options.seed}".replace(" ", "-").replace(",", "")
    events = program.train(recipe_file, folder, settings if "early" in name else {"early_stopping.restore_best": False, **settings})
    measured = [(one["step"], one["loss"]) for one in events if one["event"] == "evaluation"]
    curves[name] = measured
    best = min(measured[1:], key=lambda point: point[1])
    test = program.answer("evaluate", folder, "--split", "test")[-1]["metrics"]["loss"]
    table.append(f"| {name} | {best[1]:.3f} | {best[0] * BATCH / ROWS:.0f} | {measured[-1][1]:.3f} | {event(events, 'finished')['steps']} | {test:.3f} |")
    print(table[-1], flush=True)

if options.write:
    write_section(options.write, f"overfit {options.data}", [machine(options.deps), "", *table])


def picture():
    width, height, left, top, right, bottom = 900, 460, 60, 40, 20, 50
    shown = {name: points[1:] for name, points in curves.items() if "early" not in name}
    low = min(loss for points in shown.values() for _, loss in points) * 0.98
    high = max(loss for points in shown.values() for _, loss in points) * 1.02
    x = lambda step: left + (width - left - right) * step / STEPS  # noqa: E731
    y = lambda loss: top + (height - top - bottom) * (high - loss) / (high - low)  # noqa: E731
    colours = ["#1f5fd0", "#d95f02", "#1b7f5c", "#8e3a9d"]
    dashes = ["", "8 4", "2 4", "10 4 2 4"]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{left}" y="18" font-size="15" font-weight="bold">Validation loss, 60 rows, LoRA r 64: where it turns</text>']
    for i in range(6):
        loss = low + (high - low) * i / 5
        out.append(f'<line x1="{left}" x2="{width - right}" y1="{y(loss):.1f}" y2="{y(loss):.1f}" stroke="#e3e6eb"/>'
                   f'<text x="{left - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.2f}</text>')
    for epoch in range(0, EPOCHS + 1, 5):
        at = x(epoch * ROWS / BATCH)
        out.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{height - bottom}" stroke="#f0f2f5"/>'
                   f'<text x="{at:.1f}" y="{height - bottom + 18}" text-anchor="middle">{epoch * ROWS // BATCH}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">step (10 are an epoch of the 60 rows)</text>'
               f'<text transform="translate(16 {(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">{unit}</text>')
    for i, (name, points) in enumerate(shown.items()):
        path = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in points)
        step, loss = min(points, key=lambda point: point[1])
        key = height - bottom - 110 + 20 * i
        out.append(f'<polyline points="{path}" fill="none" stroke="{colours[i]}" stroke-width="2" stroke-dasharray="{dashes[i]}"/>'
                   f'<circle cx="{x(step):.1f}" cy="{y(loss):.1f}" r="5" fill="white" stroke="{colours[i]}" stroke-width="2.5"/>'
                   f'<line x1="{left + 430}" x2="{left + 470}" y1="{key - 4}" y2="{key - 4}" stroke="{colours[i]}" stroke-width="2" stroke-dasharray="{dashes[i]}"/>'
                   f'<text x="{left + 480}" y="{key}">{name}: turns at step {step}</text>')
    stopped = curves["plain, early stopping"]
    at = x(stopped[-1][0])
    out.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{height - bottom}" stroke="#b3261e" stroke-dasharray="3 3"/>'
               f'<text x="{at + 6:.1f}" y="{height - bottom - 8}" fill="#b3261e">early stopping (patience 4) ends the plain run at step {stopped[-1][0]}</text>')
    return "\n".join(out) + "\n</svg>\n"


if options.picture:
    pathlib.Path(options.picture).write_text(picture())
