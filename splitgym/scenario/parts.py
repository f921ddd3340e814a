"""Names that a scenario may say of parts that are made elsewhere, and where that is; one's own are `module:NAME`."""

from collections.abc import Callable, Mapping

from splitgym.parts import suggest

PATH_LOSSES: Mapping[str, str] = {
    "umi": "splitgym.network.path_loss.umi:MODEL",
    "mmwave-28ghz": "splitgym.network.path_loss.mmwave_28ghz:MODEL",
    "constant": "splitgym.network.path_loss.constant:MODEL",
}
NETWORKS: Mapping[str, str] = {
    "resnet18": "splitgym.models.resnet:resnet18",
    "cnn": "splitgym.models.cnn:cnn",
    "vgg19": "splitgym.models.vgg:vgg19",
    "mlp": "splitgym.models.mlp:mlp",
    "transformer": "splitgym.models.transformer:transformer",
}
CODECS: Mapping[str, str] = {
    "none": "splitgym.frameworks.codecs.floats:NONE",
    "fp16": "splitgym.frameworks.codecs.floats:FP16",
    "bf16": "splitgym.frameworks.codecs.floats:BF16",
    "uniform-8": "splitgym.frameworks.codecs.uniform:UNIFORM_8",
    "uniform-4": "splitgym.frameworks.codecs.uniform:UNIFORM_4",
    "uniform-2": "splitgym.frameworks.codecs.uniform:UNIFORM_2",
    "top-k": "splitgym.frameworks.codecs.top_k:TOP_K",
    "random-top-k": "splitgym.frameworks.codecs.top_k:RANDOM_TOP_K",
    "c3": "splitgym.frameworks.codecs.c3:C3",
    "c3-unitary": "splitgym.frameworks.codecs.c3:C3_UNITARY",
}


def known(names: Mapping[str, str]) -> Callable[[str], str]:
    """A check that a name is one of these or `module:NAME`; whether that is there is seen when it is used."""

    def check(name: str) -> str:
        if name not in names and not all(name.partition(":")):
            raise ValueError(f"{suggest(name, names)} (your own: 'module:NAME')")
        return name

    return check
