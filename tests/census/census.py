"""The ladder of docs/architecture.md, kept by counting includes. Prints what points up, and what is too long."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LADDER = ["kernels", "core", "ui", "app"]
CORE = re.findall(r"^qlora_layer\((\w+)", (ROOT / "core/CMakeLists.txt").read_text(), re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)
USES = {name: set(uses.split()) for name, uses in
        re.findall(r"^qlora_layer\((\w+)(?: TORCH)? USES ([^)]*)\)", (ROOT / "core/CMakeLists.txt").read_text(), re.M)}


def reachable(layer, seen=None):
    seen = seen if seen is not None else set()
    for target in USES.get(layer, ()):
        name = target.removeprefix("qlora_")
        if name in CORE and name not in seen:
            seen.add(name)
            reachable(name, seen)
    return seen


def check(root):
    problems, files = [], 0
    for path in sorted(p for top in LADDER for p in (root / top).rglob("*") if p.suffix in (".h", ".cpp")):
        files += 1
        name = path.relative_to(root)
        top, text = name.parts[0], path.read_text(encoding="utf-8")
        if text.count("\n") > 800:
            problems.append(f"{name}: {text.count(chr(10))} lines, at most 800")
        for include in INCLUDE.findall(text):
            first = include.split("/")[0]
            if first in LADDER and LADDER.index(first) > LADDER.index(top):
                problems.append(f"{name}: includes {include}, which is above {top}/")
            if top == "core" and first == "core" and include.count("/") >= 2:
                mine, other = name.parts[1], include.split("/")[1]
                if mine != other and other not in reachable(mine):
                    problems.append(f"{name}: includes {include}, but core/{mine} does not use core/{other}")
            if top == "ui" and first in ("torch", "ATen", "c10"):
                problems.append(f"{name}: includes {include}: no LibTorch under ui/")
            if top in ("kernels", "core") and re.match(r"Q[A-Z]|Qt", include):
                problems.append(f"{name}: includes {include}: no Qt under {top}/")
    return problems, files


if __name__ == "__main__":
    found, files = check(ROOT)
    if files < 100:
        found.append(f"only {files} files were read: the census looks in the wrong place")
    # Negative control: a header that points up must be found.
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        bad = pathlib.Path(folder)
        for top in LADDER:
            (bad / top).mkdir()
        (bad / "core/base").mkdir()
        (bad / "core/base/bad.h").write_text('#include "ui/shell/main_window.h"\n#include <QString>\n#include "core/train/trainer.h"\n')
        if len(check(bad)[0]) != 3:
            found.append("the census does not see includes that point up")
    print("\n".join(found) or f"{files} files, no include points up the ladder")
    sys.exit(1 if found else 0)
