"""The tokenizer: T5's order of pieces, whole words, nothing unknown, the same each time."""

import unittest

import sentencepiece

from shapes import tokenizer, words
from shapes.make import example

PICTURES = 6000


class TokenizerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = tokenizer.train(1, PICTURES, 1000)
        cls.processor = sentencepiece.SentencePieceProcessor(model_proto=cls.model)

    def test_special_pieces(self):
        self.assertEqual([self.processor.id_to_piece(i) for i in range(3)], ["<pad>", "</s>", "<unk>"])
        self.assertEqual((self.processor.pad_id(), self.processor.eos_id(), self.processor.unk_id(),
                          self.processor.bos_id()), (0, 1, 2, -1))

    def test_size(self):
        self.assertLess(len(self.model), 60_000)
        self.assertLessEqual(self.processor.get_piece_size(), 1000)

    def test_words_are_whole_pieces(self):
        for language in words.LANGUAGES:
            for table in (words.SHAPES, words.COLOURS):
                for names in table[language].values():
                    for name in names:
                        parts = name.split(words.BREAK if language != "en" else " ")
                        pieces = self.processor.encode(" ".join(parts) if language == "en" else "".join(parts),
                                                       out_type=str)
                        expected = ["\u2581" + part for part in parts] if language == "en" else ["\u2581", *parts]
                        self.assertEqual(pieces, expected)

    def test_captions_are_short_and_known(self):
        for index in range(1500):
            for made in example(7, "validation", index % 300)[1] + example(1, "train", index)[1]:
                ids = self.processor.encode(made.text)
                self.assertLess(len(ids), 40)
                self.assertFalse(any(self.processor.is_byte(i) or self.processor.is_unknown(i) for i in ids), made.text)

    def test_case_and_width_are_folded(self):
        self.assertEqual(
            self.processor.encode("\uff32\uff45\uff44\u3000CIRCLE \uff0c"), self.processor.encode("red circle ,"))

    def test_other_letters_become_bytes(self):
        ids = self.processor.encode("\u72ac")
        self.assertTrue(all(self.processor.is_byte(i) for i in ids[1:]))
        self.assertEqual(self.processor.decode(ids), "\u72ac")

    def test_training_again_gives_the_same_file(self):
        self.assertEqual(tokenizer.train(1, PICTURES, 1000), self.model)


if __name__ == "__main__":
    unittest.main()
