import os

import pytest

from keras_faramtn.cores import available_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has affinities")
def test_the_affinity_and_the_environment_limit_the_cores(monkeypatch):
    allowed = os.sched_getaffinity(0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert available_cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    limits = {"1": 1, "1000000": len(allowed), "0": len(allowed), "many": len(allowed)}
    for limit, expected in limits.items():
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert available_cores() == expected
