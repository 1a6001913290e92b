import os

import pytest

from keras_faramtn.evaluation.machine import describe_machine, machine


def test_the_machine_is_described():
    found = machine()
    assert found["cores"] >= 1
    assert found["processor"]
    assert isinstance(found["gpus"], list)
    assert all(isinstance(gpu, str) for gpu in found["gpus"])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has affinities")
def test_only_the_cores_that_this_process_may_use_count():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine()["cores"] == 1
        assert describe_machine(machine()).startswith("1 core of ")
    finally:
        os.sched_setaffinity(0, allowed)


def test_cores_and_gpus_are_named():
    described = describe_machine({"processor": "P", "cores": 16, "gpus": ["A Card", "A Card"]})
    assert described == "16 cores of P, A Card, A Card"
