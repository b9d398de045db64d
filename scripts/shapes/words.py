"""The words of the captions: for every shape, colour and so on its names in three languages.

The first name is the usual one. Within Chinese and Japanese names BREAK marks where the tokenizer must not
join pieces; written captions do not have it.
"""

LANGUAGES = ("en", "zh", "ja")
BREAK = "\t"

SHAPES = {
    "en": {
        "circle": ("circle", "disc"), "square": ("square",), "triangle": ("triangle",),
        "diamond": ("diamond", "rhombus"),
        "pentagon": ("pentagon",), "star": ("star",), "heart": ("heart",), "cross": ("cross", "plus sign"),
        "ring": ("ring",), "crescent": ("crescent", "crescent moon"), "arrow": ("arrow",),
        "semicircle": ("semicircle", "half circle"),
    },
    "zh": {
        "circle": ("圆形", "圆"), "square": ("正方形", "方块"), "triangle": ("三角形",), "diamond": ("菱形",),
        "pentagon": ("五边形",), "star": ("星形", "五角星", "星星"), "heart": ("心形", "爱心"), "cross": ("十字形", "十字"),
        "ring": ("圆环",), "crescent": ("月牙", "新月"), "arrow": ("箭头",), "semicircle": ("半圆形", "半圆"),
    },
    "ja": {
        "circle": ("円", "丸"), "square": ("四角", "正方形"), "triangle": ("三角形", "三角"), "diamond": ("ひし形",),
        "pentagon": ("五角形",), "star": ("星", "星形"), "heart": ("ハート",), "cross": ("十字", "十字形"),
        "ring": ("リング", "輪"), "crescent": ("三日月",), "arrow": ("矢印",), "semicircle": ("半円",),
    },
}

COLOURS = {
    "en": {name: (name,) for name in ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown",
                                      "black", "white")} | {"gray": ("gray", "grey")},
    "zh": {
        "red": ("红色",), "orange": ("橙色", "橘色"), "yellow": ("黄色",), "green": ("绿色",), "cyan": ("青色",),
        "blue": ("蓝色",), "purple": ("紫色",), "pink": ("粉色", "粉红色"), "brown": ("棕色", "褐色"), "black": ("黑色",),
        "white": ("白色",), "gray": ("灰色",),
    },
    # Before a noun ...
    "ja": {
        "red": ("赤い",), "orange": ("オレンジ色\tの", "オレンジ\tの"), "yellow": ("黄色い",), "green": ("緑\tの", "緑色\tの"),
        "cyan": ("水色\tの",), "blue": ("青い",), "purple": ("紫\tの", "紫色\tの"), "pink": ("ピンク\tの", "ピンク色\tの"),
        "brown": ("茶色い", "茶色\tの"), "black": ("黒い",), "white": ("白い",), "gray": ("灰色\tの", "グレー\tの"),
    },
}

# ... and as nouns ("the background is blue").
JAPANESE_COLOUR_NOUNS = {
    "red": "赤", "orange": "オレンジ色", "yellow": "黄色", "green": "緑", "cyan": "水色", "blue": "青", "purple": "紫",
    "pink": "ピンク", "brown": "茶色", "black": "黒", "white": "白", "gray": "灰色",
}

SIZES = {
    "en": {"small": ("small", "little"), "medium": ("medium-sized",), "large": ("large", "big")},
    "zh": {"small": ("小",), "medium": ("中等大小\t的",), "large": ("大",)},
    "ja": {"small": ("小さな", "小さい"), "medium": ("中くらい\tの",), "large": ("大きな", "大きい")},
}

STYLES = {
    "en": {"outline": ("outlined", "hollow"), "filled": ("filled", "solid")},
    "zh": {"outline": ("空心",), "filled": ("实心",)},
    "ja": {"outline": ("輪郭\tだけ\tの", "中抜き\tの"), "filled": ("塗りつぶした",)},
}

PATTERNS = {
    "en": {"stripes": ("striped",), "checks": ("checkered", "checked"), "dots": ("dotted", "polka-dot")},
    "zh": {"stripes": ("条纹",), "checks": ("格子", "方格"), "dots": ("圆点", "波点")},
    "ja": {"stripes": ("縞模様\tの", "ストライプ\tの"), "checks": ("市松模様\tの", "チェック\tの"), "dots": ("水玉模様\tの", "ドット\tの")},
}
ENGLISH_PATTERN_NOUNS = {"stripes": ("stripes",), "checks": ("checks",), "dots": ("dots", "polka dots")}

# Whether a word from each table stands for one thing only is tested (tests/shapes/captions_test.py).
POSITIONS = {
    "en": {"left": ("on the left", "on the left side"), "right": ("on the right", "on the right side"),
           "top": ("at the top",), "bottom": ("at the bottom",),
           "centre": ("in the center", "in the middle", "in the centre")},
    "zh": {"left": ("左边", "左侧"), "right": ("右边", "右侧"), "top": ("顶部", "上方"), "bottom": ("底部", "下方"),
           "centre": ("中间", "中央")},
    "ja": {"left": ("左側", "左"), "right": ("右側", "右"), "top": ("上\tの\t方", "上側"), "bottom": ("下\tの\t方", "下側"),
           "centre": ("真ん中", "中央")},
}

# RELATIONS[language][arrangement]: the first object to the second, and the second to the first.
RELATIONS = {
    "en": {"row": (("to the left of", "left of"), ("to the right of", "right of")),
           "column": (("above",), ("below", "under"))},
    "zh": {"row": (("左边", "左侧"), ("右边", "右侧")), "column": (("上方", "上面"), ("下方", "下面"))},
    "ja": {"row": (("左", "左側"), ("右", "右側")), "column": (("上",), ("下",))},
}

NUMBERS = {"en": {2: "two", 3: "three"}, "zh": {2: "两个", 3: "三个"}, "ja": {2: "二つ", 3: "三つ"}}
