"""The cost of a request for a worker, counted and not timed: system calls and instructions in user space.

The numbers are the same on every run, except for how often a worker has to wait. A change that makes each
request more expensive fails here; if it is worth that, it raises the bound and gives the reason.
"""

import pytest

from bench import cost, measure
from bench.contestants import Missing, Overtime

pytestmark = pytest.mark.unsanitized

RUNS = 4
# A little above what is counted, 12,105, of which some 400 make every output a safe point; libfcgi alone takes 14,500.
INSTRUCTIONS = {"linked": 12_150, "preloaded": 12_150}


@pytest.fixture
def counted(tmp_path):
    """counted(service, clients=...) -> calls per request: all but waits, and waits with their related calls."""
    def run(service, **options):
        try:
            calls = measure.system_calls(service, tmp_path / "calls", 500, **options)
        except Missing as error:
            pytest.skip(str(error))
        print(calls)
        told = cost.sorted_out(calls)
        return told["calls"], told["waits"]

    return run


@pytest.fixture(params=["linked", "preloaded"])
def served(request, tmp_path):
    """A pool of one worker."""
    service = Overtime(tmp_path, 1, preloaded=request.param == "preloaded").start()
    yield service
    service.stop()


def test_four_calls_on_a_new_connection(served, counted):
    """accept, read, write, close. With requests in the queue a worker hardly ever waits."""
    calls, waits = counted(served, clients=16)
    assert 3.95 <= calls <= 4.05 and waits < 1


def test_two_calls_on_a_kept_connection(served, counted):
    """read, write; and one wait, since its only client sends again only after the response."""
    calls, waits = counted(served, clients=1, keep=True)
    assert 1.95 <= calls <= 2.05 and waits < 1.5


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_instructions_of_a_request(tmp_path, name):
    """On a busy machine the worker waits more often, and each wait takes instructions: the least of some runs counts."""
    found = []
    try:
        while len(found) < RUNS and not any(number <= INSTRUCTIONS[name] for number in found):
            found.append(cost.a_request(tmp_path, name))
    except Missing as error:
        pytest.skip(str(error))
    print(f"{name}: {min(found):.0f} instructions a request, at most {INSTRUCTIONS[name]}")
    assert min(found) <= INSTRUCTIONS[name]
