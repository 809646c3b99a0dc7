"""Who is compared, and what each needs: the peers and the environments they live in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The newest of each that loads beside the others; a CPU build of torch is taken where pip offers one.
# torchcodec 0.13 is the newest that loads beside a CPU build of torch; later ones want CUDA's libraries.
TORCH = ("torch==2.13.0", "torchcodec==0.13.0", "numpy>=2", "pyarrow>=19", "av==18.1.0")


@dataclass(frozen=True, slots=True)
class Environment:
    """Packages installed together, in a virtual environment of their own.

    `without`: what is taken out again, because it fails to load beside a CPU build of torch and is not needed.
    `python`: the least version.
    """

    requirements: tuple[str, ...]
    without: tuple[str, ...] = ()
    python: str = "3.11"


@dataclass(frozen=True, slots=True)
class Peer:
    """A loader in the comparison. `name` is its file here; `environment` None is the project's own.

    `encodings`: which of the two forms of the clips it reads. `delivers`: whether it gives frames, or only decodes.
    `reencodes`: its writer encodes the clips once more. `ours`: it is compared with the others.
    """

    name: str
    title: str
    environment: str | None
    encodings: tuple[str, ...] = ("default", "ours")
    delivers: bool = True
    reencodes: bool = False
    ours: bool = False

    @property
    def script(self) -> Path:
        return HERE / f"{self.name}.py"


ENVIRONMENTS = {
    "torchcodec": Environment(TORCH),
    "webdataset": Environment((*TORCH, "webdataset==1.0.2")),
    "huggingface": Environment((*TORCH, "datasets==5.2.0")),
    # Its import needs torchvision, whose builds for CPU alone are on no common index.
    "mosaicml": Environment(
        ("mosaicml-streaming==0.13.0", "torch==2.15.0", "torchcodec==0.17.0", "torchvision", "av==18.1.0")
    ),
    "litdata": Environment((*TORCH, "litdata==0.2.76"), without=("torchvision",)),
    "spdl": Environment((*TORCH[:1], *TORCH[2:], "spdl==0.8.0")),
    "energon": Environment((*TORCH, "megatron-energon[av_decode]==7.4.1")),
    "lerobot": Environment(("lerobot[dataset]==0.6.1",), python="3.12"),
}

PEERS = {
    peer.name: peer
    for peer in (
        Peer("equime_folder", "EquiME", None, encodings=("ours",), ours=True),
        Peer("equime_processes", "EquiME, processes", None, encodings=("ours",), ours=True),
        Peer("equime_rendition", "EquiME, processes, rendition", None, encodings=("ours",), reencodes=True, ours=True),
        Peer("equime_cached", "EquiME, window cache", None, encodings=("ours",), ours=True),
        Peer("bare_libavcodec", "bare libavcodec", None, delivers=False),
        Peer("plain_pyav", "PyAV + threads", None),
        Peer("plain_torchcodec", "torchcodec + threads", "torchcodec"),
        Peer("spdl_pipeline", "SPDL", "spdl"),
        Peer("webdataset_tar", "WebDataset", "webdataset"),
        Peer("huggingface_parquet", "HF datasets", "huggingface"),
        Peer("mosaicml_mds", "MosaicML Streaming", "mosaicml"),
        Peer("litdata_chunks", "LitData", "litdata"),
        Peer("energon_tar", "Megatron-Energon", "energon"),
        Peer("lerobot_v3", "LeRobot", "lerobot"),
        Peer("lerobot_av1", "LeRobot, its own AV1", "lerobot", encodings=("default",), reencodes=True),
    )
}
OURS, PROCESSES, RENDITION = "equime_folder", "equime_processes", "equime_rendition"
CACHED, BARE = "equime_cached", "bare_libavcodec"
