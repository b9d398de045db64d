"""The grid and the plot, with Pillow alone."""

import colorsys
import math

from PIL import Image, ImageDraw, ImageFont

FONT = ImageFont.load_default(14)
BLACK, GREY, PALE = (0, 0, 0), (130, 130, 130), (225, 225, 225)


def draw_grid(rows, steps, cell):
    """Rows of (name, pictures); a picture may be None."""
    left = max(int(FONT.getlength(name)) for name, _ in rows) + 16
    top, gap = 28, 4
    grid = Image.new("RGB", (left + len(steps) * (cell + gap), top + len(rows) * (cell + gap)), "white")
    pen = ImageDraw.Draw(grid)
    for column, count in enumerate(steps):
        pen.text((left + column * (cell + gap) + cell / 2, top / 2), f"{count} steps", BLACK, FONT, anchor="mm")
    for row, (name, pictures) in enumerate(rows):
        y = top + row * (cell + gap)
        pen.text((left - 8, y + cell / 2), name, BLACK, FONT, anchor="rm")
        for column, picture in enumerate(pictures):
            x = left + column * (cell + gap)
            if picture is None:
                pen.rectangle((x, y, x + cell - 1, y + cell - 1), PALE)
                continue
            fitted = picture.copy()
            fitted.thumbnail((cell, cell), Image.Resampling.LANCZOS)
            grid.paste(fitted, (x + (cell - fitted.width) // 2, y + (cell - fitted.height) // 2))
    return grid


def ticks(low, high):
    """1, 2, 5 and their tenfolds within a range."""
    found = []
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        found += [value * 10.0**exponent for value in (1, 2, 5) if low <= value * 10.0**exponent <= high]
    return found


def draw_plot(curves):
    """Curves by name, of (evaluations, error), on logarithmic axes."""
    width, height, left, top, bottom, right = 1000, 640, 80, 20, 50, 240
    points = [(x, max(y, 1e-9)) for curve in curves.values() for x, y in curve]
    low_x, high_x = min(x for x, _ in points) / 1.1, max(x for x, _ in points) * 1.1
    low_y, high_y = min(y for _, y in points) / 1.3, max(y for _, y in points) * 1.3

    def place(x, y):
        across = math.log(x / low_x) / math.log(high_x / low_x)
        up = math.log(max(y, 1e-9) / low_y) / math.log(high_y / low_y)
        return left + across * (width - left - right), height - bottom - up * (height - top - bottom)

    plot = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(plot)
    for x in ticks(low_x, high_x):
        at = place(x, low_y)[0]
        pen.line((at, top, at, height - bottom), PALE)
        pen.text((at, height - bottom + 6), f"{x:g}", BLACK, FONT, anchor="ma")
    for y in ticks(low_y, high_y):
        at = place(low_x, y)[1]
        pen.line((left, at, width - right, at), PALE)
        pen.text((left - 6, at), f"{y:g}", BLACK, FONT, anchor="rm")
    pen.rectangle((left, top, width - right, height - bottom), outline=GREY)
    pen.text(((left + width - right) / 2, height - 10), "evaluations of the network", BLACK, FONT, anchor="ms")
    pen.text((left + 6, top + 6), "relative error of the final latents", BLACK, FONT, anchor="la")
    # The greatest error first, as the curves lie.
    ordered = sorted(curves.items(), key=lambda item: -item[1][-1][1])
    for index, (name, curve) in enumerate(ordered):
        hue = colorsys.hsv_to_rgb(index / len(ordered), 0.85, 0.8 if index % 2 else 0.55)
        color = tuple(round(255 * part) for part in hue)
        places = [place(x, y) for x, y in curve]
        pen.line(places, color, 2)
        for x, y in places:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), color)
        y = top + 10 + index * 20
        pen.line((width - right + 14, y, width - right + 36, y), color, 3)
        pen.text((width - right + 42, y), name, BLACK, FONT, anchor="lm")
    return plot
