"""The prompts of the evaluation: combinations that training never showed, in three languages."""

from dataclasses import dataclass

from .captions import caption
from .check import Request, request_of
from .dice import Dice
from .scene import Scene, all_alike, split_scene

# Of every twenty scenes, spread evenly: what is in them.
_KINDS = ("one", "two", "one", "one", "two", "one", "two", "one", "one", "alike", "one", "two", "one", "one", "two",
          "one", "two", "one", "two", "three")
KINDS = {"one": "one object", "two": "two objects with a relation", "alike": "two alike", "three": "three objects"}


@dataclass(frozen=True)
class Prompt:
    kind: str
    language: str
    text: str
    scene: Scene  # one that the prompt describes; it may leave things open that the scene settles
    request: Request


def _scene(kind: str, seed: int, index: int) -> Scene:
    dice = Dice("evaluation", seed, index)
    count = {"one": 1, "three": 3}.get(kind, 2)
    while True:
        scene = split_scene(dice, "validation", count)
        if count == 1 or all_alike(scene) == (kind == "alike"):
            return scene


def held_out_prompts(count: int, seed: int, languages) -> list:
    """For `count` scenes a prompt in each language, language by language. The background is always said."""
    prompts = []
    for language in languages:
        for index in range(count):
            kind = _KINDS[index % len(_KINDS)]
            scene = _scene(kind, seed, index)
            said = {"background"}
            if scene.background.pattern != "plain":
                said.add("pattern")
            if kind == "two":
                said.add("relation")
            if kind == "one" and Dice("position", seed, index).chance(0.25):
                said.add("position")
            words = caption(scene, language, Dice("evaluation", language, seed, index), frozenset(said))
            prompts.append(Prompt(kind, language, words.text, scene, request_of(scene, words.said)))
    return prompts
