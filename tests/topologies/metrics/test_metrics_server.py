"""The server of the metrics without Kafka: readiness, refusals, counters of dropped state, and the ports of ``up``."""

import aiohttp
import pytest

from pipeline.step import Measurement
from topologies.configuration import Configuration, ConfigurationError, load_configuration
from topologies.metrics import MetricsServer, WorkerMetrics
from topologies.metrics_settings import MetricsSettings
from topologies.processes import Topology

SETTINGS = MetricsSettings(listen="127.0.0.1:0")


async def test_a_worker_is_ready_when_nothing_stands_in_its_way_and_alive_before():
    obstacles = ["partitions that are being restored: 2"]
    server = MetricsServer(SETTINGS, WorkerMetrics("detect", None), lambda: obstacles[0] if obstacles else None)
    address = await server.start()
    async with aiohttp.ClientSession(address) as session:
        async with session.get("/readyz") as response:
            assert (response.status, await response.json()) == (503, {"error": "partitions that are being restored: 2"})
        async with session.get("/healthz") as response:
            assert response.status == 200
        obstacles.clear()
        async with session.get("/readyz") as response:
            assert response.status == 200
        async with session.post("/metrics") as response:
            assert response.status == 405
        async with session.get("/metrics", headers={"Origin": "https://example.org"}) as response:
            assert response.status == 403
            assert "metrics.token_file" in await response.text()
    await server.stop()


def test_an_address_for_other_machines_needs_authentication(tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text('[metrics]\nlisten = "0.0.0.0:9464"\n')
    with pytest.raises(
        ConfigurationError, match=r"metrics\.listen: 0\.0\.0\.0:9464 can be reached from other machines"
    ):
        load_configuration(path)


def test_a_counter_gains_what_a_step_counts_and_never_falls():
    metrics = WorkerMetrics("detect", None)
    before = {}
    for total in (3, 5, 1, 2):
        metrics.count_gains(before, [Measurement("driftwire_bad_fields_total", total, ("is_text",))])
    text = metrics.render("")[0].decode()
    assert 'driftwire_bad_fields_total{reason="is_text",step="detect"} 6.0' in text


@pytest.mark.parametrize(
    ("listen", "ports"),
    [("127.0.0.1:9464", ["9464", "", "9465", "9466", "9467"]), ("127.0.0.1:0", ["0", "", "0", "0", "0"])],
)
def test_up_gives_each_worker_with_metrics_a_port_of_its_own(tmp_path, listen, ports):
    intake = {"topics": {"requests": {"subject": "bot"}}}
    configuration = Configuration.model_validate({"intake": intake, "http": {}, "metrics": {"listen": listen}})
    topology = Topology(configuration, data_folder=tmp_path)
    assert topology._steps == ("intake", "http", "detect", "correlate", "route")
    options = [topology._metrics_option(index) for index in range(5)]
    assert options == [["--metrics-port", port] if port else [] for port in ports]


def test_the_port_of_the_command_replaces_that_of_the_configuration():
    assert Configuration().with_metrics_port(None).metrics is None
    assert Configuration().with_metrics_port(9500).metrics == MetricsSettings(listen="127.0.0.1:9500")
