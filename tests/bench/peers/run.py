"""run.py SCRIPT ARGS: runs a yardstick unedited, with bitsandbytes' bf16 product for AVX512-BF16 processors switched off,
which keeps it from training after an evaluation."""
import importlib
import runpy
import sys

for name in ("bitsandbytes.functional", "bitsandbytes.nn.modules", "bitsandbytes.backends.cpu.ops"):
    module = importlib.import_module(name)
    if hasattr(module, "has_avx512bf16"):
        module.has_avx512bf16 = lambda: False
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
