"""The outcome of an evaluation: rates with their intervals, as a table and as a grid of pictures."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .prompts import KINDS
from .scene import SIZE

COLUMNS = ("colour", "shape", "background", "colour+shape+background", "pattern", "count", "relation", "position",
           "all")
_LABELS = {"colour+shape+background": "these three", "all": "everything"}


def wilson(right: int, total: int, z: float = 1.959964) -> tuple:
    """The 95% interval of a rate (Wilson 1927)."""
    if total == 0:
        return 0.0, 1.0
    rate, square = right / total, z * z
    middle = (rate + square / (2 * total)) / (1 + square / total)
    half = z * math.sqrt(rate * (1 - rate) / total + square / (4 * total * total)) / (1 + square / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def rates(results: list) -> dict:
    """rates[language or "all"][kind or "any"][column]: right, total, rate, low and high."""
    tables = {}
    for result in results:
        for language in (result["language"], "all"):
            for kind in (result["kind"], "any"):
                row = tables.setdefault(language, {}).setdefault(kind, {})
                for column in COLUMNS:
                    if column in result["verdict"]:
                        cell = row.setdefault(column, {"right": 0, "total": 0})
                        cell["right"] += bool(result["verdict"][column])
                        cell["total"] += 1
    for table in tables.values():
        for row in table.values():
            for cell in row.values():
                low, high = wilson(cell["right"], cell["total"])
                cell.update(rate=cell["right"] / cell["total"], low=low, high=high)
    return tables


def format_table(tables: dict) -> str:
    """Rates in per cent, with their intervals, a block for each kind and a row for each language."""
    languages = [name for name in tables if name != "all"] + ["all"]
    lines = []
    for kind, name in [*KINDS.items(), ("any", "all prompts")]:
        present = [language for language in languages if kind in tables.get(language, {})]
        if len(present) == 2:
            present = present[:1]  # one language: its total says the same again
        if not present:
            continue
        columns = [column for column in COLUMNS if column in tables["all"][kind]]
        lines.append("")
        lines.append(f"{name:32}" + "".join(f"{_LABELS.get(column, column):>20}" for column in columns))
        for language in present:
            row = tables[language][kind]
            total = max(cell["total"] for cell in row.values())
            cells = "".join("{:>20}".format("-" if column not in row else "{:.1f} [{:.1f}, {:.1f}]".format(
                *(100 * row[column][part] for part in ("rate", "low", "high")))) for column in columns)
            lines.append(f"  {language:4} {total:5} prompts" + " " * 12 + cells)
    return "\n".join(lines[1:])


def _description(prompt) -> str:
    """Short and in ASCII, for fonts without Chinese and Japanese."""
    things = prompt.scene.objects
    names = [f"{thing.colour} {thing.shape}" for thing in things]
    if prompt.kind == "alike":
        text = f"{len(things)} x {names[0]}"
    else:
        joint = " above\n" if prompt.scene.arrangement == "column" else " left of\n" if prompt.kind == "two" else ",\n"
        text = joint.join(names)
    if prompt.request.position:
        text += f", {prompt.request.position}"
    pattern = "" if prompt.scene.background.pattern == "plain" else f" {prompt.scene.background.pattern}"
    return f"{prompt.language}: {text}\non {prompt.scene.background.colour}{pattern}"


def picture_grid(prompts: list, pictures: list, verdicts: list, columns: int = 8, most: int = 48) -> Image.Image:
    """Pictures under a bar that is green where everything is right, else red with what is wrong named.

    Of more than `most` pictures an even choice is shown.
    """
    chosen = np.unique(np.linspace(0, len(prompts) - 1, min(most, len(prompts))).round().astype(int))
    margin, bar, text_height = 6, 5, 62
    width, height = SIZE + 2 * margin, SIZE + bar + text_height + margin
    rows = math.ceil(len(chosen) / columns)
    grid = Image.new("RGB", (width * min(columns, len(chosen)), height * rows), "white")
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(10)
    for place, index in enumerate(chosen):
        x, y = place % columns * width + margin, place // columns * height + margin
        wrong = [name for name, right in verdicts[index].items() if not right and name not in _LABELS]
        draw.rectangle((x, y, x + SIZE - 1, y + bar - 1), fill=(200, 30, 30) if wrong else (30, 150, 60))
        grid.paste(Image.fromarray(pictures[index]), (x, y + bar))
        text = _description(prompts[index])
        draw.multiline_text((x, y + bar + SIZE + 2), text, fill="black", font=font, spacing=1)
        if wrong:
            draw.text((x, y + bar + SIZE + 4 + 13 * (text.count("\n") + 1)), f"not {', '.join(wrong)}",
                      fill=(200, 30, 30), font=font)
    return grid
