#!/usr/bin/env python3
"""Draws a picture through Easel's C API, from Python with nothing but ctypes.

    draw.py LIBRARY MODEL PROMPT OUT.png [OPTION=VALUE ...]

LIBRARY is libeasel_c.so, in lib/ of an installation.
"""

import ctypes
import sys
from ctypes import POINTER, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint64, c_void_p


class Status(ctypes.Structure):
    _fields_ = [("code", c_int32), ("message", c_char * 1020)]


class Picture(ctypes.Structure):
    _fields_ = [("pixels", POINTER(c_uint8)), ("width", c_int32), ("height", c_int32), ("seed", c_uint64)]


OnStep = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64, c_int64)

FUNCTIONS = {  # name: result, arguments
    "easel_options_new": (c_void_p, []),
    "easel_options_free": (None, [c_void_p]),
    "easel_options_set": (Status, [c_void_p, c_char_p, c_char_p]),
    "easel_options_on_step": (None, [c_void_p, OnStep, c_void_p]),
    "easel_open": (Status, [c_void_p, POINTER(c_void_p)]),
    "easel_close": (None, [c_void_p]),
    "easel_draw": (Status, [c_void_p, c_void_p, POINTER(c_void_p)]),
    "easel_pictures_free": (None, [c_void_p]),
    "easel_pictures_get": (Picture, [c_void_p, c_size_t]),
    "easel_pictures_save": (Status, [c_void_p, c_size_t, c_char_p, c_int]),
}


class EaselError(Exception):
    pass


def load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def check(status: Status) -> None:
    if status.code != 0:
        raise EaselError(status.message.decode())


def draw(library: ctypes.CDLL, out: str, options: dict, on_step=lambda step, steps: 0) -> bytes:
    """Draws one picture into the file `out` and returns its pixels, RGB."""
    handle, model, pictures = library.easel_options_new(), c_void_p(), c_void_p()
    callback = OnStep(lambda _, step, steps: on_step(step, steps) or 0)
    try:
        for name, value in options.items():
            check(library.easel_options_set(handle, name.encode(), str(value).encode()))
        library.easel_options_on_step(handle, callback, None)
        check(library.easel_open(handle, ctypes.byref(model)))
        check(library.easel_draw(model, handle, ctypes.byref(pictures)))
        check(library.easel_pictures_save(pictures, 0, out.encode(), 0))
        picture = library.easel_pictures_get(pictures, 0)
        return ctypes.string_at(picture.pixels, 3 * picture.width * picture.height)
    finally:
        library.easel_pictures_free(pictures)
        library.easel_close(model)
        library.easel_options_free(handle)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    settings = {"model": sys.argv[2], "prompt": sys.argv[3], **dict(word.split("=", 1) for word in sys.argv[5:])}
    try:
        draw(load(sys.argv[1]), sys.argv[4], settings)
    except EaselError as error:
        sys.exit(f"draw.py: {error}")
