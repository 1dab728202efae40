"""Training of the embedded model killed with SIGKILL and resumed: adapter and optimizer bytes equal those of the run that
was left alone, and so do the losses."""
import json
import shutil
import signal
import subprocess
import time

from peers import QLORA, WORK, verdict

root = __file__.rsplit("/tests/", 1)[0]
(WORK / "few.jsonl").write_text("".join(open(root + "/resources/datasets/banking-support.jsonl", encoding="utf-8").readlines()[:24]))
recipe = dict(model="smollm2-135m", data=dict(train=str(WORK / "few.jsonl"), max_length=64, validation_fraction=0.1),
              method=dict(kind="lora", rank=4, dropout=0.1), train=dict(batch_size=2, accumulate=2, max_steps=9, checkpoint_every=2, seed=7),
              evaluate=dict(every=4, samples=0))
(WORK / "resume.json").write_text(json.dumps(recipe))


def train(*arguments, kill_after=None):
    process = subprocess.Popen([str(QLORA), "train", *map(str, arguments), "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    losses = {}
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step":
            losses[event["step"]] = event["loss"]
            if kill_after == event["step"]:
                time.sleep(0.15)  # somewhere within the next step
                process.send_signal(signal.SIGKILL)
    process.wait()
    if kill_after is None and process.returncode != 0: raise SystemExit(f"train ended with {process.returncode}")
    return losses


whole, killed = WORK / "whole", WORK / "killed"
for folder in (whole, killed): shutil.rmtree(folder, ignore_errors=True)
expected = train(WORK / "resume.json", "--out", whole)
got = train(WORK / "resume.json", "--out", killed, kill_after=3)
got.update(train("--resume", killed, kill_after=5))
got.update(train("--resume", killed))
failures = []
if got != expected: failures.append(f"losses differ: {got} instead of {expected}")
for name in ("checkpoints/step-9/adapter_model.safetensors", "checkpoints/step-9/optimizer.safetensors", "adapter/adapter_model.safetensors"):
    if (whole / name).read_bytes() != (killed / name).read_bytes(): failures.append(f"{name} differs")
print(f"killed twice, {len(expected)} steps, {'different' if failures else 'equal to the bit'}")
verdict(failures)
