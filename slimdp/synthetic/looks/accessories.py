"""What people wear that is neither top nor bottom: hair, shoes, glasses, hats and bags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.synthetic.looks.cloth import cell_chance, garment_colours, random_waves, wavy
from slimdp.synthetic.looks.places import ARM, FOOT, HAND, HEAD, LEG, TORSO, Landmarks, Places

STYLES = ("short", "medium", "long", "tied", "receding", "bald", "shaved")
_SHARES_MAN = np.array([0.5, 0.14, 0.05, 0.04, 0.12, 0.07, 0.08])
_SHARES_WOMAN = np.array([0.16, 0.27, 0.32, 0.23, 0.01, 0.0, 0.01])
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
_TONES = np.array([
    [0.06, 0.05, 0.05], [0.11, 0.08, 0.06], [0.2, 0.13, 0.08], [0.32, 0.21, 0.12], [0.5, 0.36, 0.2],
    [0.76, 0.62, 0.38], [0.5, 0.22, 0.1],
])  # fmt: skip
_TONE_SHARES = np.array([0.26, 0.24, 0.18, 0.13, 0.09, 0.06, 0.04])


@dataclass(frozen=True)
class Hair:
    """The hair of one person."""

    style: str  # one of STYLES
    beard: str  # one of BEARDS
    tone: np.ndarray  # (3,) RGB 0..1
    volume: float  # metres that it stands out on the crown
    front: float  # metres of the hairline above the eyes
    end: float  # height where long hair ends, metres below the throat
    parting: float  # radians of the crown's parting from the middle; left is positive
    knot: float  # radians by which a knot sits above the middle of the back of the head
    strands: np.ndarray  # (6, 3) waves over (angle about the crown, height)
    edge: np.ndarray  # (4, 4) waves of the hairline


def random_hair(rng: np.random.Generator, gender: float, age: float) -> Hair:
    """Hair at random: gender, 0 female .. 1 male, weighs styles and beards, age, 0 young .. 1 old, grey."""
    shares = _SHARES_MAN * gender + _SHARES_WOMAN * (1 - gender)
    style = str(rng.choice(STYLES, p=shares / shares.sum()))
    tone = _TONES[rng.choice(len(_TONES), p=_TONE_SHARES)] * rng.uniform(0.8, 1.25)
    if rng.random() < 0.08 + 0.6 * age:
        tone = tone + (rng.uniform(0.45, 0.82) - tone) * rng.uniform(0.5, 1.0)
    bearded = 0.6 * gender**2
    beard = str(rng.choice(BEARDS, p=[1 - bearded, *(bearded * np.array([0.4, 0.12, 0.13, 0.35]))]))
    volumes = {"long": (0.012, 0.026), "medium": (0.016, 0.036), "tied": (0.005, 0.01)}
    volume = volumes.get(style, (0.006, 0.026))
    strands = random_waves(rng, 6, 0.3, 1.0, dimensions=2)
    return Hair(
        style=style,
        beard=beard,
        tone=np.clip(tone, 0.03, 0.9),
        volume=float(rng.uniform(*volume)) if style not in ("bald", "shaved") else 0.001,
        front=float(rng.uniform(0.048, 0.062)),
        end=float(rng.uniform(0.02, 0.25)),
        parting=float(rng.choice([0.0, rng.uniform(0.3, 0.8), -rng.uniform(0.3, 0.8)])),
        knot=float(rng.choice([-0.25, 0.2, 0.9])),
        # Many across the flow of the hair, which runs down from the crown, and few along it.
        strands=strands * np.array([2.2, 0.9, 1.0]) * np.array([3.0, 3.0, 1.0]),
        edge=random_waves(rng, 4, 0.012, 0.05),
    )


def _azimuth(places: Places, marks: Landmarks) -> np.ndarray:
    """Radians about the axis of the head, 0 before the face, pi behind, on either side."""
    middle = (marks.ear[2] + marks.crown[2]) / 2 + 0.01
    return np.arctan2(places.side, places.point[:, 2] - middle)


def hairline(hair: Hair, azimuth: np.ndarray, marks: Landmarks) -> np.ndarray:
    """Height (N,) above which the scalp has hair, by the angle from the face."""
    front = marks.eye[1] + hair.front
    temple = front - 0.006
    if hair.style in ("receding", "bald"):
        front, temple = front + 0.012, front + 0.028
    ear, nape = marks.ear[1], marks.ear[1] - 0.075
    if hair.style in ("short", "receding", "bald", "shaved", "tied"):
        nape = ear - 0.055
    angles = [0.0, 0.45, 0.8, 1.05, 1.3, 1.5, 1.75, 1.95, 2.2, np.pi]
    heights = [front, front, temple, front - 0.018]
    heights += [ear + 0.012, ear + 0.004, ear + 0.03, ear + 0.01, nape + 0.01, nape]
    return np.interp(azimuth, angles, heights)


def covers_hair(hair: Hair, places: Places, marks: Landmarks) -> np.ndarray:
    """Where (N,) the hair of the head lies, with what hangs down behind."""
    covered = np.zeros(len(places), dtype=bool)
    below = (places.region == TORSO) & (places.point[:, 1] > marks.throat[1] - 0.3)
    mine = np.flatnonzero((places.region == HEAD) | below)
    near = places.take(mine)
    azimuth, y = _azimuth(near, marks), near.point[:, 1]
    ragged = 0.007 * wavy(near.point, hair.edge)
    there = (near.region == HEAD) & (y + ragged > hairline(hair, azimuth, marks))
    if hair.style == "bald":
        there &= y < marks.ear[1] + 0.055 + ragged
    if hair.style in ("medium", "long"):
        lowest = marks.throat[1] - (hair.end if hair.style == "long" else -0.035)
        there |= (azimuth > 1.42) & (y + 3 * ragged > lowest) & (near.region == HEAD)
        back = (near.region == TORSO) & ~near.front & (near.side < 0.1)
        there |= back & (y + 3 * ragged > lowest)
    if hair.style == "tied" and hair.end > 0.13:  # a tail
        there |= (azimuth > 2.4) & (near.side < 0.028) & (y > marks.throat[1] - hair.end) & ~near.front
    covered[mine] = there
    return covered


def _strands(hair: Hair, places: Places, marks: Landmarks) -> np.ndarray:
    """Light and dark strands (N,) in -1..1 along the hair, which runs down from crown and parting."""
    turned = places.point[:, 0] - np.sin(hair.parting) * 0.05
    angle = np.arctan2(turned, places.point[:, 2] - marks.crown[2])
    flow = np.column_stack([angle, places.point[:, 1] * 2])
    return np.clip(1.6 * wavy(flow, hair.strands), -1, 1)


def paint_hair(
    hair: Hair, skin_tone: np.ndarray, colour: np.ndarray, places: Places, marks: Landmarks
) -> None:
    """Paint beard and hair into colours (N, 3)."""
    if hair.beard != "none":
        where = np.flatnonzero((places.region == HEAD) & (places.point[:, 1] < marks.ear[1] + 0.01))
        dense = _beard(hair, places.take(where), marks)[:, None]
        grain = 1 + 0.35 * wavy(places.point[where] * [2, 0.8, 2], hair.edge)[:, None]
        colour[where] = colour[where] * (1 - dense) + dense * hair.tone * grain
    where = np.flatnonzero(covers_hair(hair, places, marks))
    mine = places.take(where)
    painted = hair.tone * (1 + 0.32 * _strands(hair, mine, marks))[:, None]
    if hair.style in ("medium", "long", "tied") or hair.parting:
        line = np.abs(mine.point[:, 0] - np.sin(hair.parting) * 0.05) < 0.002
        top = line & (mine.point[:, 2] > marks.crown[2] - 0.02) & (mine.region == HEAD)
        painted[top] = 0.5 * painted[top] + 0.4 * skin_tone
    if hair.style == "shaved":
        painted = 0.45 * painted + 0.55 * colour[where]
    colour[where] = painted


def _beard(hair: Hair, places: Places, marks: Landmarks) -> np.ndarray:
    """How densely (N,) in 0..1 a beard grows at places of the head."""
    x, y, z = places.side, places.point[:, 1], places.point[:, 2]
    lip = marks.nose[1] - 0.0365
    ragged = 0.006 * wavy(places.point, hair.edge)
    depth = marks.nose[2] - z
    moustache = (np.abs(y - lip - 0.0145 + 0.25 * x) < 0.0065 - 0.1 * x) & (depth < 0.06)
    if hair.beard == "moustache":
        return moustache.astype(np.float64)
    chin = (y < lip - 0.008) & (x < 0.03 + ragged) & (depth < 0.075) & (y > marks.throat[1] + 0.01)
    if hair.beard == "goatee":
        return (chin | moustache).astype(np.float64)
    upper = np.interp(depth, [0.0, 0.045, 0.09, 0.115], [lip + 0.01, lip + 0.012, lip + 0.03, marks.ear[1]])
    lower = np.interp(depth, [0.0, 0.05, 0.08, 0.122], marks.throat[1] + np.array([0.03, 0.01, 0.02, 0.055]))
    jaw = (y + ragged < upper) & (depth < 0.122) & (y + ragged > lower)
    lips = (np.abs(y - lip) < 0.011) & (x < 0.027) & (depth < 0.05)
    return ((jaw | moustache) & ~lips) * (0.42 if hair.beard == "stubble" else 0.92)


def hair_thickness(hair: Hair, places: Places, marks: Landmarks) -> np.ndarray:
    """How far (N,) metres hair and beard stand off the skin."""
    thickness = np.zeros(len(places))
    where = np.flatnonzero(covers_hair(hair, places, marks))
    mine = places.take(where)
    y, azimuth = mine.point[:, 1], _azimuth(mine, marks)
    above = np.clip((y - hairline(hair, azimuth, marks)) / 0.04, 0.25, 1)
    hanging = (y < marks.ear[1] + 0.02) & (hair.style in ("medium", "long"))
    lying = np.where(hanging, 0.8, above) * np.where(mine.region == HEAD, 1, 0.5)
    thickness[where] = hair.volume * lying * (1 + 0.12 * _strands(hair, mine, marks))
    if hair.style == "tied":
        from_middle = mine.point - (marks.ear + [-marks.ear[0], 0.025, 0.01])
        from_middle /= np.linalg.norm(from_middle, axis=1, keepdims=True)
        away = np.arccos(np.clip(from_middle @ [0, np.sin(hair.knot), -np.cos(hair.knot)], -1, 1))
        thickness[where] += 0.034 * np.exp(-((away / 0.4) ** 2)) * (mine.region == HEAD)
    if hair.beard == "full":
        head = np.flatnonzero(places.region == HEAD)
        dense = _beard(hair, places.take(head), marks)
        thickness[head] = np.maximum(thickness[head], (0.003 + 0.3 * hair.volume) * dense)
    return thickness


FOOTWEAR = ("sneakers", "shoes", "boots", "flats", "sandals", "barefoot")
_SHARES = (0.46, 0.2, 0.12, 0.1, 0.06, 0.06)
_SOLES = np.array([[0.93, 0.93, 0.9], [0.09, 0.09, 0.09], [0.5, 0.36, 0.22], [0.93, 0.93, 0.9]])


@dataclass(frozen=True)
class Footwear:
    """Shoes with what is worn in them."""

    kind: str  # one of FOOTWEAR
    colours: np.ndarray  # (2, 3) RGB of the upper and its stripes or laces
    sole: np.ndarray  # (3,)
    sole_height: float  # metres
    shaft: float  # metres above the ankle that a boot reaches
    sock: np.ndarray  # (3,)
    sock_top: float  # metres above the ankle; below the shoe if negative


def random_footwear(rng: np.random.Generator) -> Footwear:
    """Shoes and socks at random."""
    kind = str(rng.choice(FOOTWEAR, p=_SHARES))
    bare = kind in ("flats", "sandals", "barefoot")
    return Footwear(
        kind=kind,
        colours=garment_colours(rng, 2) * (0.5 if kind in ("shoes", "boots") else 1.0),
        sole=_SOLES[rng.integers(len(_SOLES))],
        sole_height=float(rng.uniform(0.012, 0.028)),
        shaft=float(rng.uniform(0.05, 0.3)),
        sock=garment_colours(rng, 1)[0],
        sock_top=-0.2 if bare else float(rng.choice([-0.03, 0.06, 0.14, 0.3], p=[0.35, 0.35, 0.2, 0.1])),
    )


def covers_shoe(shoe: Footwear, places: Places, marks: Landmarks) -> np.ndarray:
    """Where (N,) leather or cloth of a shoe lies."""
    height, depth = places.point[:, 1], places.point[:, 2]
    foot = places.region == FOOT
    if shoe.kind == "barefoot":
        return np.zeros(len(places), dtype=bool)
    if shoe.kind == "boots":
        return foot | ((places.region == LEG) & (height < marks.ankle + shoe.shaft))
    if shoe.kind == "flats":
        # Open on the instep.
        heel = (depth < 0.0) & (height < marks.floor + 0.06)
        return foot & ((height < marks.floor + 0.03) | (depth > 0.14) | heel)
    if shoe.kind == "sandals":
        bands = (np.abs(depth - 0.14) < 0.016) | (np.abs(depth - 0.03) < 0.014)
        return foot & (bands | (height < marks.floor + 0.01))
    return foot & (height < marks.floor + 0.095)


def covers_sock(shoe: Footwear, places: Places, marks: Landmarks) -> np.ndarray:
    """Where (N,) a sock lies, under the shoe or not."""
    low = places.point[:, 1] < marks.ankle + shoe.sock_top
    return ((places.region == FOOT) | (places.region == LEG)) & low


def paint_footwear(shoe: Footwear, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    """Paint socks, then shoes, into colours (N, 3)."""
    sock = covers_sock(shoe, places, marks)
    colour[sock] = shoe.sock * (1 + 0.1 * np.sin(places.angle[sock] * 24))[:, None]
    where = np.flatnonzero(covers_shoe(shoe, places, marks))
    x, y, z = places.point[where].T
    upper, second = shoe.colours
    grain = 0.95 + 0.1 * cell_chance(x * 250, z * 250, 7)
    painted = upper * grain[:, None]
    if shoe.kind in ("sneakers", "boots", "shoes"):
        instep = (np.abs(places.side[where] - 0.175) < 0.03) & (z > 0.04) & (z < 0.13)
        instep &= y > marks.floor + 0.05
        lace = instep & (z * 60 % 1 < 0.45)
        painted[lace] = second if shoe.kind == "sneakers" else upper * 0.5
    if shoe.kind == "sneakers":
        flank = (y > marks.floor + 0.025) & (y < marks.floor + 0.07) & (z > 0.02) & (z < 0.1) & ~instep
        painted[flank & ((z + 0.6 * y) * 28 % 1 < 0.4)] = second
        painted[(z > 0.165) & (y < marks.floor + 0.05)] = (upper + second) / 2
    # Thinner before: the toes of the skin show through, and would look like toes on a pale sole.
    painted[y < marks.floor + np.where(z > 0.13, 0.007, shoe.sole_height)] = shoe.sole
    colour[where] = painted


def footwear_thickness(shoe: Footwear, places: Places, marks: Landmarks) -> np.ndarray:
    """How far (N,) metres shoes and socks stand off the skin; the sole stands out a little."""
    height = places.point[:, 1]
    leather = {"boots": 0.006, "sneakers": 0.006, "shoes": 0.004}.get(shoe.kind, 0.002)
    thickness = np.where(covers_sock(shoe, places, marks), 0.002, 0.0)
    sole = height < marks.floor + shoe.sole_height
    shod = np.where(covers_shoe(shoe, places, marks), np.where(sole, leather + 0.004, leather), thickness)
    # The skin between the toes is too creased to carry anything.
    return shod * np.clip((0.165 - places.point[:, 2]) / 0.02, 0, 1)


HATS = ("none", "cap", "beanie", "headband")
GLASSES = ("none", "rims", "dark")


@dataclass(frozen=True)
class Accessories:
    """Small things; most people wear none."""

    hat: str  # one of HATS
    glasses: str  # one of GLASSES
    gloves: bool
    watch: int  # 1 on the left wrist, -1 on the right one, 0 none
    colours: np.ndarray  # (4, 3) RGB of hat, hat's band, glasses and watch, gloves


def random_accessories(rng: np.random.Generator) -> Accessories:
    """Accessories at random."""
    colours = garment_colours(rng, 4)
    colours[2] *= 0.3
    return Accessories(
        hat=str(rng.choice(HATS, p=[0.86, 0.07, 0.05, 0.02])),
        glasses=str(rng.choice(GLASSES, p=[0.82, 0.13, 0.05])),
        gloves=bool(rng.random() < 0.04),
        watch=int(rng.choice([0, 1, -1], p=[0.65, 0.25, 0.1])),
        colours=colours,
    )


def hat_edge(places: Places, marks: Landmarks) -> np.ndarray:
    """Height (N,) of a hat's lower edge: over the brows, over the ears, lower behind."""
    heights = [marks.ear[1] + 0.02, marks.ear[1] + 0.035, marks.eye[1] + 0.042]
    return np.interp(places.point[:, 2], [-0.05, 0.03, 0.14], heights)


def covers_hat(wear: Accessories, places: Places, marks: Landmarks) -> np.ndarray:
    """Where (N,) a hat lies."""
    if wear.hat == "none":
        return np.zeros(len(places), dtype=bool)
    above = places.point[:, 1] - hat_edge(places, marks)
    return (places.region == HEAD) & (above > 0) & (above < (0.045 if wear.hat == "headband" else 1))


def paint_accessories(wear: Accessories, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    """Paint gloves, a watch, glasses and a hat into colours (N, 3)."""
    if wear.gloves:
        colour[(places.region == HAND) | ((places.region == ARM) & (places.along > 1.97))] = wear.colours[3]
    if wear.watch:
        wrist = (places.region == ARM) & (np.abs(places.along - 1.88) < 0.05)
        colour[wrist & (places.left == (wear.watch > 0))] = wear.colours[2]
    if wear.glasses != "none":
        _paint_glasses(wear, colour, places, marks)
    where = np.flatnonzero(covers_hat(wear, places, marks))
    hat, beanie = places.take(where), wear.hat == "beanie"
    ribs = np.cos(np.arctan2(hat.point[:, 0], hat.point[:, 2] - 0.04) * (70 if beanie else 6))
    ribs = 1 + (0.12 * ribs if beanie else -0.3 * (np.abs(ribs) < 0.06))
    edge = hat.point[:, 1] - hat_edge(hat, marks) < (0.04 if beanie else 0.011)
    colour[where] = np.where(edge[:, None], wear.colours[1], wear.colours[0] * ribs[:, None])


def _paint_glasses(wear: Accessories, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    where = np.flatnonzero((places.region == HEAD) & (np.abs(places.point[:, 1] - marks.eye[1]) < 0.04))
    x, y, z = places.side[where], places.point[where, 1], places.point[where, 2]
    face = colour[where]
    across, over = np.abs(x - marks.eye[0]) / 0.025, np.abs(y - marks.eye[1] + 0.003) / 0.019
    lens = (across**3 + over**3) ** (1 / 3)
    before = z > marks.eye[2] - 0.045
    if wear.glasses == "dark":
        face[before & (lens < 1)] = wear.colours[2] * 0.4
    bridge = before & (x < 0.008) & (np.abs(y - marks.eye[1]) < 0.0025)
    arms = ~before & (z > marks.ear[2]) & (np.abs(y - marks.eye[1] - 0.002) < 0.0025)
    face[(before & (np.abs(lens - 1) < 0.13)) | bridge | arms] = wear.colours[2]
    colour[where] = face


def accessories_thickness(wear: Accessories, places: Places, marks: Landmarks) -> np.ndarray:
    """How far (N,) metres hats and gloves stand off the skin."""
    gloves = 0.0015 * ((places.region == HAND) & wear.gloves)
    height = {"none": 0.0, "cap": 0.012, "beanie": 0.016, "headband": 0.006}[wear.hat]
    hat = height * covers_hat(wear, places, marks)
    above = places.point[:, 1] - hat_edge(places, marks)
    brim = (wear.hat == "cap") & (places.region == HEAD) & (above > 0) & (above < 0.011)
    brim &= places.point[:, 2] > marks.eye[2] - 0.045
    return np.maximum(gloves, np.where(brim, 0.055, hat))
