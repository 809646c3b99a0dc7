"""EquiME's loader: what a training job imports.

Importing this package registers `equime` with Hugging Face `datasets`, now or when that is imported, so that
``load_dataset("equime")`` works. It imports neither `datasets` nor torch by itself.
"""

from wrapt import register_post_import_hook

from equime_loader.registration import register
from equime_loader.video import read_video

__all__ = ["read_video"]

register_post_import_hook(register, "datasets.load")
