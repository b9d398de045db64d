"""Trains the SentencePiece tokenizer of the small model on captions of the training split."""

import argparse
import collections
import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

import sentencepiece

from .make import example
from .words import BREAK

# Lower case and half width, as NFKC with case folding has it: its own table would be 240 KB.
_UPPER = range(ord("A"), ord("Z") + 1)
_FULLWIDTH = range(0xFF01, 0xFF5F)
_SPACE = "\u2581"


def normalization_rules() -> str:
    """SentencePiece's table of what is replaced: code points in hexadecimal, a tab, their replacement."""
    rules = {chr(code): chr(code).lower() for code in _UPPER}
    rules.update({chr(code): chr(code - 0xFEE0).lower() for code in _FULLWIDTH})
    rules.update({"\u3000": " ", "\u00a0": " ", "\n": " ", "\r": " "})
    return "".join(f"{ord(source):X}\t{ord(target):X}\n" for source, target in sorted(rules.items()))


def _pieces_of(segmented: str):
    """The words of a caption as pieces: the mark of a space stands before those that follow one."""
    for i, word in enumerate(segmented.replace(",", "").replace("-", f"{BREAK}-{BREAK}").split(" ")):
        first, *rest = word.split(BREAK)
        yield _SPACE + first if i or first.isascii() else first
        yield from rest


def seed_pieces(captions: list) -> str:
    """The pieces that training starts from: every word and every character, with how often it occurs.

    By itself SentencePiece starts from what several different words share, which no single word is.
    """
    counts = collections.Counter(piece for caption in captions for piece in _pieces_of(caption.lower()))
    words = [(piece, count) for piece, count in counts.items() if len(piece) > 1]
    return "".join(f"{piece}\t{count}\n" for piece, count in sorted(words, key=lambda item: (-item[1], item[0])))


def train(seed: int, pictures: int, vocabulary: int) -> bytes:
    """The model file."""
    captions = [caption.segmented for index in range(pictures) for caption in example(seed, "train", index)[1]]
    model = io.BytesIO()
    # The model names these files, so the names are bare.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        rules, seeds = Path("normalization.tsv"), Path("seeds.tsv")
        rules.write_text(normalization_rules(), encoding="utf-8")
        seeds.write_text(seed_pieces(captions), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(captions), model_writer=model, model_type="unigram", vocab_size=vocabulary,
            hard_vocab_limit=False, character_coverage=1.0, byte_fallback=True, normalization_rule_tsv=str(rules),
            seed_sentencepieces_file=str(seeds), pretokenization_delimiter=BREAK, pad_id=0, eos_id=1, unk_id=2,
            bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>", num_threads=1, minloglevel=1)
    return model.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(prog="train_shapes_tokenizer", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--pictures", type=int, default=20000, metavar="N",
                        help="captions of how many pictures [20000]")
    parser.add_argument("--vocabulary", type=int, default=1000, metavar="N", help="pieces at most [1000]")
    options = parser.parse_args()
    if options.output.exists():
        print(f"train_shapes_tokenizer: error: '{options.output}' exists; remove it or name another", file=sys.stderr)
        sys.exit(2)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    model = train(options.seed, options.pictures, options.vocabulary)
    partial = options.output.with_name(options.output.name + ".partial")
    partial.write_bytes(model)
    os.replace(partial, options.output)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    longest = max((len(processor.encode(caption.text)), caption.text)
                  for index in range(options.pictures) for caption in example(options.seed, "train", index)[1])
    print(f"train_shapes_tokenizer: {processor.get_piece_size()} pieces, {len(model)} bytes; "
          f"the longest caption has {longest[0]} tokens: {longest[1]}", file=sys.stderr)


if __name__ == "__main__":
    main()
