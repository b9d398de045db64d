"""Checks the rules of the source tree: which layer includes which, and that tests mirror sources.

    layers_test.py SOURCE_DIR

The layer order is CMakeLists.txt's: easel_layer(<name> USES <layers below>).
"""

import re
import sys
from pathlib import Path


def layer_uses(root: Path) -> dict:
    uses = {}
    for name, rest in re.findall(r"^easel_layer\((\w+)(?: USES ([\w ]+))?\)", (root / "CMakeLists.txt").read_text(),
                                 re.M):
        uses[name] = {name, *rest.split()}
    return uses


def included_layers(source: Path):
    for number, line in enumerate(source.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*[<"]easel/(\w+)/', line)
        if match:
            yield number, match.group(1)


def main() -> None:
    root = Path(sys.argv[1])
    uses = layer_uses(root)
    problems, checked = [], 0
    for layer, allowed in uses.items():
        files = [*(root / "include/easel" / layer).glob("*.h"), *(root / "src" / layer).rglob("*.cpp"),
                 *(root / "src" / layer).rglob("*.h"), *(root / "src" / layer).rglob("*.cu")]
        for source in files:
            checked += 1
            for number, other in included_layers(source):
                if other not in allowed:
                    problems.append(f"{source.relative_to(root)}:{number}: {layer} may not include {other} "
                                    f"(it uses {', '.join(sorted(allowed - {layer}))})")
            text = source.read_text()
            if not text.isascii():
                problems.append(f"{source.relative_to(root)}: not ASCII")
    for program in (root / "apps").rglob("*.cpp"):
        checked += 1
        for number, line in enumerate(program.read_text().splitlines(), 1):
            if re.match(r"\s*#\s*include\s*<(torch|ATen|c10)/", line):
                problems.append(f"{program.relative_to(root)}:{number}: programs include no torch header")
    for layer in uses:
        for test in (root / "tests" / layer).glob("*_test.cpp"):
            for header in re.findall(r'#include "easel/(\w+)/', test.read_text())[:1]:
                if header != layer:
                    problems.append(f"{test.relative_to(root)}: tests {header}, but lies in tests/{layer}")
    if not uses or not checked:
        problems.append("nothing to check: has CMakeLists.txt changed its form?")
    print("\n".join(problems) or f"{checked} files keep the layers")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
