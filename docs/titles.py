"""Titles of saved tables that have none of their own."""

TITLES = {
    "benchmarks/rounds/64px/rounds": "CPU time of a real round, images of 64 pixels",
    "benchmarks/descent/descent": "CPU time of the descent",
    "benchmarks/gpu/gpu": "Real rounds on a GPU",
    "benchmarks/rounds/rounds": "CPU time of a real round",
    "benchmarks/throughput/throughput": "Environment steps a second",
    "calibrate/iot-epsl-variants/iot-epsl-variants": "The surrogate of `iot` in other variants, against real runs",
    "compare/bandwidth-limited-held-out/README": "Schedulers in `bandwidth-limited`, unused seeds: how it was run",
    "compare/bandwidth-limited-held-out/table": "Schedulers in `bandwidth-limited`, unused seeds: the table",
    "compare/iot-held-out/README": "Schedulers in `iot`, unused seeds: how it was run",
    "compare/iot-held-out/table": "Schedulers in `iot`, unused seeds: the table",
    "compare/iot-family-held-out/README": "Schedulers in `iot-family`, unused seeds: how it was run",
    "compare/iot-family-held-out/table": "Schedulers in `iot-family`, unused seeds: the table",
    "compare/iot-oracle/README": "Schedulers and an oracle in `iot`, surrogate: how it was run",
    "compare/iot-oracle/table": "Schedulers and an oracle in `iot`, surrogate: the table",
    "compare/iot-surrogate/README": "Schedulers in `iot`, surrogate: how it was run",
    "compare/iot-surrogate/table": "Schedulers in `iot`, surrogate: the table",
    "train/table": "What `make train` compares",
}
