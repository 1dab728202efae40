"""Runs of this program for the benches that compare what is learned: each once, its figures kept beside it."""
import json
import os
import pathlib
import shutil
import subprocess

RECIPES = pathlib.Path(__file__).parents[2] / "resources/recipes"


def flag(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


class Program:
    def __init__(self, qlora, work):
        self.qlora, self.work = qlora, pathlib.Path(work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    def call(self, *command):
        """(exit code, lines of JSON)"""
        environment = os.environ | {"QLORA_HOME": str(self.work / "home")}
        done = subprocess.run([str(self.qlora), *map(str, command), "--json"], capture_output=True, text=True, env=environment)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def answer(self, *command):
        code, lines = self.call(*command)
        if code != 0: raise SystemExit(f"{' '.join(map(str, command))} ended with {code}: {lines[-1:]}")
        return lines

    def train(self, recipe, folder, settings):
        """The events of the run; a whole one that is there already is not done again. An error's text where it is refused."""
        if not (folder / "metrics.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            parts = (part for key, value in settings.items() for part in ("--set", f"{key}={flag(value)}"))
            code, lines = self.call("train", recipe, "--out", folder, *parts)
            if code != 0: return (lines[-1].get("error") or lines[-1])["message"]
        return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def event(events, kind):
    return next(one for one in reversed(events) if one["event"] == kind)
