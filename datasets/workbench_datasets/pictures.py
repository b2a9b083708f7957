"""Single pictures by name, and a stack of photographs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ._card import Card, DataSet
from ._files import shipped
from .errors import DataError
from .images import GRAY_OPTION, SIZE_OPTION, Image, Size, fit, read, to_gray

COLOUR = "height, width, colour (red, green, blue); 0 black to 1 full, as stored for a display"
GREY = "height, width; 0 black to 1 white, as stored"
CC0 = "CC0"
PUBLIC = "public domain"
NO_CLAIM = "no known copyright restrictions"
CC_BY = "CC BY 2.0: the photographer must be named"
UNKNOWN = "unknown, shipped with scikit-image"
OPTIONS = {"size": SIZE_OPTION + "; None keeps the stored size", "gray": GRAY_OPTION}

SKIMAGE = ("skimage", "data")
SKLEARN = ("sklearn", "datasets", "images")


def _picture(
    name: str,
    shape: tuple[int, ...],
    place: tuple[str, ...],
    file: str,
    title: str,
    origin: str,
    licence: str,
    good_for: str,
) -> DataSet:
    def sources() -> list[Path]:
        return [shipped(*place, file)]

    def load(size: Size = None, gray: bool = False) -> Image:
        image = read(sources()[0])
        return fit(to_gray(image) if gray else image, size)

    card = Card(
        name=name,
        title=title,
        origin=origin,
        licence=licence,
        shapes={"image": f"float32 {list(shape)}"},
        units=COLOUR if len(shape) == 3 else GREY,
        good_for=good_for,
        sources=sources,
        options=OPTIONS,
    )
    return DataSet(card, load)


# Origins and licences are what the docstrings of skimage.data and scikit-learn's images/README.txt say.
# fmt: off
PICTURES = [
    _picture("astronaut", (512, 512, 3), SKIMAGE, "astronaut.png", "Portrait of the astronaut Eileen Collins",
             "NASA, Great Images database", PUBLIC,
             "skin, cloth, flags and metal in one picture; filters, receptive fields, compression"),
    _picture("brick", (512, 512), SKIMAGE, "brick.png", "Brick wall, straightened",
             "CC0Textures, Bricks25; perspective removed, turned, cropped and scaled for scikit-image", CC0,
             "a texture with two periods; autocorrelation, Fourier peaks, texture synthesis"),
    _picture("camera", (512, 512), SKIMAGE, "camera.png", "Man with a camera on a tripod",
             "photograph by Lav Varshney", CC0,
             "flat regions beside fine detail; denoising, edges, segmentation"),
    _picture("cell", (660, 550), SKIMAGE, "cell.png", "One cell floating in saline, quantitative phase",
             "retrieved from a digital hologram (P. Müller and others, Optics Express 26, 10729, 2018); "
             "pixels are 0.107 micrometre apart", CC0,
             "a bright object on a banded background; thresholds, background removal"),
    _picture("cells", (512, 512, 3), SKIMAGE, "ihc.png", "Stained colon tissue with many cell nuclei",
             "Center for Microscopy and Molecular Imaging (CMMI); FHL2 stained brown, nuclei blue", NO_CLAIM,
             "separating stains, counting and segmenting nuclei"),
    _picture("chelsea", (300, 451, 3), SKIMAGE, "chelsea.png", "Chelsea the cat",
             "photograph by Stefan van der Walt", CC0,
             "fur: oriented fine detail at several scales; edges, denoising"),
    _picture("china", (427, 640, 3), SKLEARN, "china.jpg", "Summer palace in China",
             "photograph by danielbuechele on Flickr (6061409035), retrieved 2011 by Robert Layton", CC_BY,
             "roofs, water and sky; colour quantisation, repeated structure"),
    _picture("clock", (300, 400), SKIMAGE, "clock_motion.png", "Wall clock, camera moved sideways",
             "photograph by Stefan van der Walt", "public domain, released by the photographer",
             "real motion blur with an unknown kernel; deconvolution"),
    _picture("coffee", (400, 600, 3), SKIMAGE, "coffee.png", "Cup of coffee on a wooden table",
             "photograph by Rachel Michetti, courtesy of Pikolo Espresso Bar", CC0,
             "smooth porcelain beside coarse wood; ellipses, texture boundaries"),
    _picture("coins", (303, 384), SKIMAGE, "coins.png", "Greek coins from Pompeii",
             "Brooklyn Museum Collection, image 51611", NO_CLAIM,
             "round objects on an uneven background; segmentation, watershed"),
    _picture("flower", (427, 640, 3), SKLEARN, "flower.jpg", "A flower before a blurred background",
             "Flickr 6056698931, retrieved 2011 by Robert Layton; scikit-learn's README credits "
             "danielbuechele but links to the account vultilion", CC_BY,
             "sharp object before defocus; saliency, colour clusters"),
    _picture("grass", (512, 512), SKIMAGE, "grass.png", "Grass",
             "DeviantArt, Grass-01 by linolafett; cropped and made grey for scikit-image", CC0,
             "an irregular oriented texture; statistics of filter responses"),
    _picture("gravel", (512, 512), SKIMAGE, "gravel.png", "Gravel",
             "CC0Textures, Gravel04; scaled, cropped and made grey for scikit-image", CC0,
             "a texture of blobs of one size; scale selection, texture classes"),
    _picture("hubble", (872, 1000, 3), SKIMAGE, "hubble_deep_field.jpg", "Hubble eXtreme Deep Field",
             "NASA, HubbleSite release 2012/37", "public domain (NASA)",
             "thousands of small sources on black; blob detection over scales, point spread"),
    _picture("microaneurysms", (102, 102), SKIMAGE, "microaneurysms.png", "Detail of a retina with lesions",
             "crop of image 07_dr (green channel) of the High-Resolution Fundus database (Budai and others, "
             "2013), given by Andreas Maier", CC0,
             "small dark blobs beside vessels; blob and ridge filters"),
    _picture("moon", (512, 512), SKIMAGE, "moon.png", "Surface of the moon",
             "unknown", UNKNOWN,
             "low contrast; equalisation, illumination"),
    _picture("page", (191, 384), SKIMAGE, "page.png", "Scanned page of print",
             "unknown", UNKNOWN,
             "print under uneven light; local thresholds against a global one"),
    _picture("retina", (1411, 1411, 3), SKIMAGE, "retina.jpg", "Retina of a normal left eye",
             "Wikimedia Commons, M. Häggström, WikiJournal of Medicine 1 (2), 2014", "CC0 1.0",
             "vessels of every width; ridge filters, segmentation, circular domains"),
    _picture("rocket", (427, 640, 3), SKIMAGE, "rocket.jpg", "Falcon 9 with DSCOVR, launch photograph",
             "SpaceX, Flickr 16511594820", "public domain, released by SpaceX",
             "smooth evening sky and thin structures; gradients, edges"),
    _picture("text", (172, 448), SKIMAGE, "text.png", "Handwritten formulas",
             "Wikipedia, File:Corner.png", PUBLIC,
             "thin strokes on paper; corners, strokes, thresholds"),
]
# fmt: on

_BY_NAME = {picture.card.name: picture for picture in PICTURES}
PHOTOGRAPHS = ("astronaut", "chelsea", "china", "coffee", "flower", "hubble", "rocket")


def _sources(members: Sequence[str]) -> list[Path]:
    return [path for name in members for path in _BY_NAME[name].card.sources()]


def _stack(name: str, members: Sequence[str], size: Size, gray: bool) -> Image:
    if size is None:
        raise DataError(f"{name} are stacked, so size must say how large each one is, but None came")
    return np.stack([_BY_NAME[member].load(size=size, gray=gray) for member in members])


def photographs(size: Size = 128, gray: bool = False) -> Image:
    """Colour photographs whose licences allow printing them: [7, height, width, 3], or [7, height, width]."""
    return _stack("photographs", PHOTOGRAPHS, size, gray)


STACKS = [
    DataSet(
        Card(
            name="photographs",
            title="Photographs, cropped to one size",
            origin="scikit-image and scikit-learn; each member has a card of its own",
            licence="public domain, CC0, and CC BY 2.0 (china, flower): see the members' cards",
            shapes={"images": "float32 [7, 128, 128, 3]"},
            units="photograph, " + COLOUR,
            good_for="anything that should hold for more than one picture; small training sets of patches",
            sources=lambda: _sources(PHOTOGRAPHS),
            options={"size": SIZE_OPTION + ", at most 300 squared", "gray": GRAY_OPTION},
            members=PHOTOGRAPHS,
        ),
        photographs,
    ),
]

DATA_SETS = [*PICTURES, *STACKS]
