"""Says in English, Chinese or Japanese what a scene shows.

What a caption mentions is true; it need not mention everything. Chinese and Japanese sentences are
built with BREAK between words, which Caption.text leaves out.
"""

from dataclasses import dataclass

from . import english, words
from .chinese import chinese
from .dice import Dice
from .japanese import japanese
from .scene import Scene, all_alike

_GRAMMARS = {"en": english.english, "zh": chinese, "ja": japanese}


@dataclass(frozen=True)
class Caption:
    segmented: str  # with words.BREAK between words that have no space between them
    said: frozenset  # of background, pattern, position, size0..2, style0..2, relation

    @property
    def text(self) -> str:
        return self.segmented.replace(words.BREAK, "")


def draw_said(scene: Scene, dice: Dice) -> frozenset:
    """What a caption of the scene mentions besides shapes, colours and number."""
    said = set()
    if dice.chance(0.8 if scene.background.pattern == "plain" else 0.88):
        said.add("background")
        if scene.background.pattern != "plain":
            said.add("pattern")
    if scene.position and dice.chance(0.25 if scene.position == "centre" else 0.75):
        said.add("position")
    mention_size = {"small": 0.5, "medium": 0.1, "large": 0.45} if len(scene.objects) == 1 else \
        {"small": 0.45, "medium": 0.0, "large": 0.0}
    alike = all_alike(scene)
    for i, thing in enumerate(scene.objects[:1] if alike else scene.objects):
        if len(scene.objects) < 3 and dice.chance(mention_size[thing.size]):
            said.add(f"size{i}")
        if dice.chance(0.9 if thing.style == "outline" else 0.04 if thing.shape != "ring" else 0):
            said.add(f"style{i}")
    if len(scene.objects) == 2 and not alike and (scene.arrangement == "column" or dice.chance(0.8)):
        said.add("relation")
    return frozenset(said)


def caption(scene: Scene, language: str, dice: Dice, said=None) -> Caption:
    """A caption; `said` is what to mention, by default drawn by lot."""
    if said is None:
        said = draw_said(scene, dice)
    return Caption(_GRAMMARS[language](scene, said, dice), frozenset(said))
