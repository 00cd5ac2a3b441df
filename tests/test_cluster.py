"""Workers as actors of a real Ray cluster on this machine: two nodes, one killed in the middle."""

import contextlib
import importlib
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_worker import Recipe, plan, rows_of
from test_workers import expected, gone, starts

from features import driver
from features.errors import InputError, UsageError
from features.plan import Block, Picture
from features.worker_process import WorkerError

TESTS = Path(__file__).resolve().parent
# a node that is killed is missed after this, not after half a minute
QUICK = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 4,
}
FAKE = "fake_worker:Worker"


@pytest.fixture
def pools():
    """Make pools, of which none stays open."""
    from features.cluster import RayPool

    with contextlib.ExitStack() as stack:
        yield lambda address, recipe, **options: stack.enter_context(
            RayPool(address, recipe, worker=options.pop("worker", FAKE), **options)
        )


@pytest.fixture(scope="module")
def cluster():
    """A head without processors, to which tests add nodes; the fake worker can be imported."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(TESTS))  # not the project: that comes from us
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": QUICK})
    try:
        yield cluster
    finally:
        pids = [pid for node in cluster.list_all_nodes() for pid in node_pids(node)]
        cluster.shutdown()
        patch.undo()
        assert pids and gone(pids, 30)


@pytest.fixture
def nodes(cluster):
    """Two nodes of one processor each, and of GPUs by name alone; they may be those of before."""
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(num_cpus=1, num_gpus=2)
    return list(cluster.worker_nodes)


def not_ours(nodes):
    """Return those that this process does not hang on: older Ray takes any of its machine."""
    import ray

    mine = ray.get_runtime_context().get_node_id()
    sockets = {n["RayletSocketName"] for n in ray.nodes() if n["NodeID"] == mine}
    return [node for node in nodes if node.raylet_socket_name not in sockets]


def node_pids(node):
    """Return the processes of a node."""
    return [info.process.pid for infos in node.all_processes.values() for info in infos]


@pytest.mark.slow
def test_two_nodes_give_what_this_process_gives(tmp_path, cluster, nodes, pools, monkeypatch):
    """Both take part; the code that runs is ours, brought there."""
    monkeypatch.chdir(tmp_path)  # else nodes on this machine find it here
    deeds = dict.fromkeys((f"{i:03}" for i in range(0, 160, 8)), "slow") | {"007": "code"}
    results = rows_of(driver.run(plan(160), pools(cluster.address, Recipe(tmp_path, deeds))))
    assert "py_modules" in results.pop("007")
    here = expected(tmp_path, plan(160))
    del here["007"]
    assert results == here
    assert len(set(starts(tmp_path))) == 2


@pytest.mark.slow
def test_a_node_killed_in_the_middle(tmp_path, cluster, nodes, pools):
    """The other does its blocks; not a bit differs."""
    deeds = dict.fromkeys((f"{i:03}" for i in range(0, 240, 8)), "slow")
    results = []
    for count, done in enumerate(
        driver.run(plan(240), pools(cluster.address, Recipe(tmp_path, deeds)))
    ):
        results.append(done)
        if count == 5:
            cluster.remove_node(not_ours(nodes)[0], allow_graceful=False)
    assert rows_of(results) == expected(tmp_path, plan(240))


@pytest.mark.slow
def test_pictures_and_processes_that_die(tmp_path, cluster, nodes, pools):
    """As on one machine: chance moves nothing, and who kills becomes a row."""
    deeds = {"020": "kill once", "050": "kill", "003": "memory once"}
    results = rows_of(driver.run(plan(80), pools(cluster.address, Recipe(tmp_path, deeds))))
    reason = results.pop("050")
    assert reason.startswith("the process that read it died (on the node ")
    assert reason.endswith("), twice")
    polite = [
        Block(b.pictures, refused={"050": reason} if index == 6 else {})
        for index, b in enumerate(plan(80))
    ]
    here = expected(tmp_path, polite)
    assert here.pop("050") == reason
    assert results == here


@pytest.mark.slow
def test_no_node_left(tmp_path, cluster, nodes, pools):
    """One clear line that counts what is not done."""
    deeds = dict.fromkeys((f"{i:03}" for i in range(0, 800, 8)), "slow")
    rows = []
    with pytest.raises(InputError, match="no worker is left, and .* blocks are not done") as error:
        for done in driver.run(plan(800), pools(cluster.address, Recipe(tmp_path, deeds))):
            rows.append(done)
            if len(rows) == 3:
                if len(not_ours(nodes)) < 2:
                    pytest.skip("this process would go with them")
                for node in nodes:
                    cluster.remove_node(node, allow_graceful=False)
    assert f"{100 - len(rows)} blocks" in str(error.value)


@pytest.mark.slow
def test_a_node_that_comes_later(tmp_path, cluster, nodes, pools):
    """It takes part without being asked."""
    deeds = dict.fromkeys((f"{i:03}" for i in range(0, 640, 8)), "slow")
    pool = pools(cluster.address, Recipe(tmp_path, deeds))
    results = []
    with contextlib.ExitStack() as stack:
        for count, done in enumerate(driver.run(plan(640), pool)):
            results.append(done)
            if count == 3:
                late = cluster.add_node(num_cpus=1)
                stack.callback(cluster.remove_node, late, allow_graceful=False)
        assert rows_of(results) == expected(tmp_path, plan(640))
    assert len(set(starts(tmp_path))) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "deed, kind, message",
    [
        ("input", InputError, "expected a cat"),
        ("usage", UsageError, "no such option"),
        ("bug", WorkerError, "ZeroDivisionError"),
    ],
)
def test_errors_travel(tmp_path, cluster, nodes, pools, deed, kind, message):
    """With the node's address, where weights are looked for."""
    with pytest.raises(kind, match=message) as error:
        list(driver.run(plan(8), pools(cluster.address, Recipe(tmp_path, start=deed))))
    assert type(error.value) is kind
    assert ("same paths on every node" in str(error.value)) == (kind is not WorkerError)


@pytest.mark.slow
def test_workers_that_cannot_start(tmp_path, cluster, nodes, pools, capfd):
    """Each node is given up, and then there is none."""
    with pytest.raises(InputError, match="no worker is left, and 10 blocks"):
        list(driver.run(plan(80), pools(cluster.address, Recipe(tmp_path, start="kill"))))
    time.sleep(1)  # Ray is late with what it might print
    out, errors = capfd.readouterr()
    assert errors.count("is left out: workers do not start there") == 2
    assert out == ""  # it is for results


@pytest.mark.slow
def test_a_picture_that_only_we_see(tmp_path, cluster, nodes, pools):
    """A disk that is not shared is said, and not written down as so many failed pictures."""
    with open(os.devnull) as file:
        os.dup2(file.fileno(), 200)
    pictures = (Picture("here", Path("/proc/self/fd/200")), Picture("nowhere", Path("/nowhere")))
    recipe = Recipe(tmp_path, {"here": "absent", "nowhere": "absent"})
    try:
        with pools(cluster.address, recipe) as pool:
            nowhere = rows_of(driver.run([Block(pictures[1:])], pool))
        assert nowhere == {"nowhere": "cannot be opened"}
        with pytest.raises(InputError, match=r"does not see /proc/self/fd/200, which is here"):
            list(driver.run([Block(pictures)], pools(cluster.address, recipe)))
    finally:
        os.close(200)


@pytest.mark.slow
def test_one_worker_for_each_gpu(tmp_path, cluster, nodes, pools):
    """Each sees its own alone."""
    pool = pools(cluster.address, Recipe(tmp_path), gpus=True)
    assert len(rows_of(driver.run(plan(80), pool))) == 80
    assert len(pool._places) == 4


@pytest.mark.slow
def test_given_up_by_the_caller(tmp_path, cluster, nodes, pools):
    """Actors end, whatever they do."""
    deeds = dict.fromkeys(("020", "050", "070"), "stuck")
    done = driver.run(plan(80), pools(cluster.address, Recipe(tmp_path, deeds)))
    next(done)
    done.close()
    assert gone(starts(tmp_path))


@pytest.mark.slow
def test_a_cluster_without_what_is_asked_for(tmp_path, cluster, pools):
    """No GPU, no processor."""
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node, allow_graceful=False)
    assert cluster.wait_for_nodes(30) is None
    for gpus, what in ((True, "with a GPU .* leave out --gpu"), (False, "with a processor")):
        with pytest.raises(InputError, match=what):
            pools(cluster.address, Recipe(tmp_path), gpus=gpus)


@pytest.mark.parametrize(
    "address", ["", "here", "host:1:2:x", "http://host", "host:port", "ray://host:1"]
)
def test_no_address(tmp_path, pools, address):
    """What is expected is said."""
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        pools(address, Recipe(tmp_path))


def test_nothing_answers(tmp_path, pools):
    """Said at once, not after a minute."""
    pytest.importorskip("ray")
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match="nothing answers there .*ray start --head") as error:
            pools(address, Recipe(tmp_path))
    assert "\n" not in str(error.value)


def test_another_server_answers(tmp_path, pools):
    """A port of the dashboard, say."""
    pytest.importorskip("ray")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(InputError, match="what answers there is no Ray"):
            pools(f"127.0.0.1:{server.server_address[1]}", Recipe(tmp_path))
    finally:
        server.shutdown()
        server.server_close()


def test_what_ray_says_when_it_does_not_connect(tmp_path, pools, monkeypatch):
    """Its first line: of another version, of no cluster on this machine."""
    ray = pytest.importorskip("ray")

    def mismatch(*_, **__):
        raise RuntimeError("Version mismatch: Ray 1 there, Ray 2 here\nThis was started so")

    monkeypatch.setattr(ray, "init", mismatch)
    with pytest.raises(InputError, match="auto: Ray does not connect: .* Ray 2 here .here are Ray"):
        pools("auto", Recipe(tmp_path))


def test_ray_is_an_extra(tmp_path, monkeypatch):
    """Nothing of ours needs it before a cluster is asked for."""
    monkeypatch.setitem(sys.modules, "ray", None)
    module = importlib.import_module("features.cluster")
    with pytest.raises(InputError, match=r"pip install 'meanopinion\[cluster\]'"):
        module.RayPool("auto", Recipe(tmp_path))
