"""Services by their specifications, on their ports and on strange ones, with TLS and without."""

import json
import sys
import tempfile
from pathlib import Path

import pytest

from tests.exposure import made_up
from tests.exposure.daemons import certificate
from tests.exposure.net import TARGET, Net
from tests.exposure.test_identify import BY_WAY_OF_ANOTHER, IDENTIFY

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=[IDENTIFY, BY_WAY_OF_ANOTHER], ids=["directly", "by way of another"])
def found(request):
    with tempfile.TemporaryDirectory() as folder, Net() as net:
        files = map(str, certificate(Path(folder)))
        server = net.start_on_target([sys.executable, "-m", "tests.exposure.made_up", *files], cwd=Path(__file__).parents[2])
        assert server.stdout.readline() == "listening\n"
        yield {one["port"]: one for one in map(json.loads, net.python(request.param, TARGET, *map(str, made_up.SERVERS)).splitlines())}


@pytest.mark.parametrize("port", made_up.SERVERS)
def test_each_is_recognised_and_whether_it_answers_anybody(found, port):
    one = found[port]
    assert (one["name"], one["said"], one["without_authentication"]) == made_up.FOUND[port]
    assert (one["tls"] is not None) is (port in made_up.TLS | made_up.INSIDE)
