#!/usr/bin/env python3
"""Makes the small reference fixtures in tests/data with programs that Easel did not write.

Run it in the reference environment (scripts/setup --reference). Each module in scripts/fixtures has
a function make(out: Path) that writes its files below `out`; running again reproduces them.

    scripts/make_fixtures.py              all of them
    scripts/make_fixtures.py tokenizer    only scripts/fixtures/tokenizer.py
"""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    known = sorted(p.stem for p in (ROOT / "scripts" / "fixtures").glob("*.py") if p.stem != "__init__")
    chosen = sys.argv[1:] or known
    for name in chosen:
        if name not in known:
            sys.exit(f"make_fixtures: no fixture '{name}'. Known: {', '.join(known)}")
    for name in chosen:
        print(f"make_fixtures: {name}", file=sys.stderr)
        importlib.import_module(f"fixtures.{name}").make(ROOT / "tests" / "data")


if __name__ == "__main__":
    main()
