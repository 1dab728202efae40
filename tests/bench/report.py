"""What the benches write: sections of docs/performance.md, each between its own marks."""
import datetime
import importlib.metadata
import os
import pathlib
import re
import sys


def machine(deps):
    """The processor, its cores and features, the peers' versions and the day, in one line."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", text).group(1)
    flags = set(re.search(r"flags\s*: (.*)", text).group(1).split())
    widest = next((name for flag, name in (("avx512_bf16", "AVX-512 with bf16"), ("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "SSE")
    sites = [str(site) for site in pathlib.Path(deps).glob("peers/lib/python3*/site-packages")]
    versions = [f"{d.name} {d.version}" for name in ("torch", "transformers", "peft", "bitsandbytes")
                for d in list(importlib.metadata.distributions(name=name, path=sites))[:1]]
    return "; ".join(filter(None, (f"{model}, {os.cpu_count()} cores, {widest}", ", ".join(versions), f"{datetime.date.today()}.")))


def write_section(path, name, lines):
    path = pathlib.Path(path)
    begin, end = f"<!-- {name}: written by ./dev bench {name} -->", f"<!-- end of {name} -->"
    before, found, rest = path.read_text().partition(begin)
    if not found or end not in rest:
        sys.exit(f"{path} has no section between '{begin}' and '{end}'")
    path.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + rest.partition(end)[2])
