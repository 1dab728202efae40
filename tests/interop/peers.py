"""What the comparisons share: the program under test, the embedded model as GGUF and expanded for transformers."""
import glob
import json
import os
import pathlib
import subprocess
import sys

QLORA, TRAJECTORY, DEPS, WORK = (pathlib.Path(a) for a in sys.argv[1:5])
GGUF = pathlib.Path(os.path.realpath(glob.glob(str(DEPS / "models/smollm2-135m.gguf"))[0]))


def qlora(*arguments, check=True):
    """Runs the command line with --json; returns its last object."""
    done = subprocess.run([str(QLORA), *map(str, arguments), "--json"], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise SystemExit(f"qlora {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return json.loads(lines[-1]) if lines else None


def expanded():
    """The GGUF's dequantized weights as an fp32 folder in Hugging Face layout, made once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    folder = WORK / "smollm2"
    if not (folder / "done").exists():
        model = AutoModelForCausalLM.from_pretrained(GGUF.parent, gguf_file=GGUF.name, dtype=torch.float32,
                                                     quantization_config=GgufConfig(gguf_file=str(GGUF), dequantize=True))
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(GGUF.parent, gguf_file=GGUF.name).save_pretrained(folder)
        (folder / "done").touch()
    return folder


def verdict(failures):
    for failure in failures:
        print("FAILED:", failure)
    sys.exit(1 if failures else 0)
