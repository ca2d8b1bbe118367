"""What takes vocabox to a cluster: files of the form they claim, and of our version of Ray."""

import copy
import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.cluster.kuberay_fields import KUBERAY, OBJECTS, mistakes

ROOT = Path(__file__).parents[2]
HERE = ROOT / "cluster"
MANIFESTS = sorted((HERE / "kuberay").glob("*.yaml"))
RAY_UP = sorted((HERE / "ray-up").glob("*.yaml"))
SBATCH = HERE / "slurm" / "vocabox.sbatch"
NOBODY = 10001


def ray_version() -> str:
    pins = (HERE / "constraints.txt").read_text()
    found = re.search(r"^ray==(.+)$", pins, re.MULTILINE)
    assert found is not None
    return found[1]


def pods(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    yield cluster["headGroupSpec"]["template"]
    yield from (group["template"] for group in cluster["workerGroupSpecs"])


@pytest.fixture
def job() -> dict[str, Any]:
    return yaml.safe_load((HERE / "kuberay" / "rayjob.yaml").read_text())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)
def test_a_manifest_has_the_fields_of_its_kind(path: Path) -> None:
    found = yaml.safe_load(path.read_text())
    schema = OBJECTS[found["apiVersion"], found["kind"]]
    assert set(found) == {"apiVersion", "kind", "metadata", "spec"}
    assert list(mistakes(found["spec"], schema, "spec")) == []


def test_the_schema_finds_a_mistake(job: dict[str, Any]) -> None:
    wrong = copy.deepcopy(job)
    wrong["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["contaners"] = []
    wrong["spec"]["backoffLimit"] = "0"
    del wrong["spec"]["rayClusterSpec"]["rayVersion"]
    schema = OBJECTS["ray.io/v1", "RayJob"]
    assert len(list(mistakes(wrong["spec"], schema, "spec"))) == 3
    assert KUBERAY in (HERE / "kuberay" / "rayjob.yaml").read_text()


def test_kuberay_runs_our_ray(job: dict[str, Any]) -> None:
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == ray_version()
    images = {c["image"] for pod in pods(job) for c in pod["spec"]["containers"]}
    assert images == {f"vocabox:ray-{ray_version()}"}


def test_no_pod_is_root_or_may_become_it(job: dict[str, Any]) -> None:
    for pod in pods(job):
        person = pod["spec"]["securityContext"]
        assert (person["runAsNonRoot"], person["runAsUser"]) == (True, NOBODY)
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            locked = container["securityContext"]
            assert locked["capabilities"] == {"drop": ["ALL"]}
            assert locked["readOnlyRootFilesystem"] is True
            assert locked["allowPrivilegeEscalation"] is False


def test_a_token_is_asked_for_and_pods_are_fenced_in(job: dict[str, Any]) -> None:
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    policy = yaml.safe_load((HERE / "kuberay" / "network.yaml").read_text())["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    ours = policy["podSelector"]["matchLabels"]
    assert all(ours.items() <= pod["metadata"]["labels"].items() for pod in pods(job))
    open_to_us = {"podSelector": {"matchLabels": ours}}
    assert {"from": [open_to_us]} in policy["ingress"], "all ports between its own pods"
    for rule in policy["ingress"]:
        assert rule.get("ports") == [{"protocol": "TCP", "port": 8265}] or rule["from"] == [
            open_to_us
        ]


def test_there_is_a_group_with_gpus_and_a_store_for_all(job: dict[str, Any]) -> None:
    groups = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    limits = [g["template"]["spec"]["containers"][0]["resources"]["limits"] for g in groups]
    assert [limit.get("nvidia.com/gpu") for limit in limits] == [None, "1"]
    claim = yaml.safe_load((HERE / "kuberay" / "store.yaml").read_text())
    words = shlex.split(job["spec"]["entrypoint"])
    place = words[words.index("--store") + 1]
    for pod in pods(job):
        [mount] = [
            m for m in pod["spec"]["containers"][0]["volumeMounts"] if m["mountPath"] == place
        ]
        [volume] = [v for v in pod["spec"]["volumes"] if v["name"] == mount["name"]]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert words[:2] == ["vocabox", "run"]


@pytest.mark.parametrize("path", RAY_UP, ids=lambda p: p.name)
def test_ray_up_fits_the_schema_that_ray_ships(path: Path) -> None:
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    config = yaml.safe_load(path.read_text())
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "max_wokers": 2}, schema)
    docker = config["docker"]
    assert docker["image"] == f"vocabox:ray-{ray_version()}"
    assert f"--user={NOBODY}" in docker["run_options"]
    assert "-e RAY_AUTH_MODE=token" in docker["run_options"]
    [head] = [line for line in config["head_start_ray_commands"] if "--head" in line]
    assert "--dashboard-host=127.0.0.1" in head
    assert "--num-cpus=0" in head


def test_the_batch_script_is_shell_and_its_directives_are_read() -> None:
    subprocess.run(["bash", "-n", str(SBATCH)], check=True)
    lines = SBATCH.read_text().splitlines()
    directives = [line for line in lines if line.startswith("#SBATCH")]
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert all(lines.index(line) < first for line in directives), "Slurm reads none after a command"
    known = dict(
        re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line).groups() for line in directives
    )  # type: ignore[union-attr]
    assert known["ntasks-per-node"] == "1", "one Ray a machine"
    assert {"nodes", "cpus-per-task", "time", "signal", "output"} <= set(known)
    assert "set -euo pipefail" in lines


def test_the_batch_script_calls_ray_as_it_wants_to_be_called() -> None:
    from ray.scripts.symmetric_run import symmetric_run

    text = SBATCH.read_text().replace("\\\n", " ")
    [line] = re.findall(r"^srun .*$", text, re.MULTILINE)
    words = shlex.split(line.removesuffix(" &"))
    words = words[words.index("ray") :]
    assert words[:2] == ["ray", "symmetric-run"]
    options, command = words[2 : words.index("--")], words[words.index("--") + 1 :]
    names = {name for param in symmetric_run.params for name in param.opts}
    assert {"--address", "--min-nodes"} <= names & set(options)
    assert not {"--head", "--port", "--block", "--node-ip-address"} & set(options)
    assert command[:2] == ["vocabox", "run"]
    assert command[command.index("--address") + 1] == options[options.index("--address") + 1]
    assert "RAY_AUTH_MODE=token" in text


def test_a_batch_job_without_arguments_says_how() -> None:
    asked = subprocess.run(["bash", str(SBATCH)], capture_output=True, text=True, check=False)
    assert asked.returncode != 0
    assert "give a config" in asked.stderr


def _instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert all(re.match(r"[A-Z]+ ", line) for line in lines), lines
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines]


def test_the_image_has_no_base_of_its_own_and_ends_as_nobody() -> None:
    found = _instructions()
    assert found[0] == ("ARG", "BASE"), "no default: whoever builds names one"
    assert [rest for name, rest in found if name == "FROM"] == ["${BASE} AS build", "${BASE}"]
    last = max(i for i, (name, _) in enumerate(found) if name == "FROM")
    users = [rest for name, rest in found[last:] if name == "USER"]
    assert users[-1] == f"{NOBODY}:{NOBODY}"
    after = found[max(i for i, (name, _) in enumerate(found) if name == "USER") :]
    assert not {"RUN", "COPY", "ADD"} & {name for name, _ in after}
    assert ("HEALTHCHECK", '--interval=60s --timeout=20s CMD ["vocabox", "--version"]') in found
    assert not {"EXPOSE", "ADD", "VOLUME"} & {name for name, _ in found}
    assert re.search(r"@sha256:[0-9a-f]{16}", (ROOT / "Dockerfile").read_text()) is None, "invented"
    env = " ".join(rest for name, rest in found if name in ("ENV", "ARG"))
    assert not re.search("TOKEN|SECRET|PASSWORD", env)
    assert any("--constraint cluster/constraints.txt" in rest for _, rest in found)


@pytest.mark.parametrize(
    ("base", "code"),
    [
        (f"python:3.11-slim@sha256:{'a' * 64}", 0),
        ("python:3.11-slim", 1),
        ("python:3.11-slim@sha256:abc", 1),
        ("", 1),
    ],
)
def test_the_build_refuses_a_base_without_a_digest(base: str, code: int) -> None:
    [check] = [rest for name, rest in _instructions() if name == "RUN" and "BASE" in rest]
    done = subprocess.run(
        ["sh", "-c", check], env={"BASE": base}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert ("Name the base by digest." in done.stderr) == bool(code)


def test_the_image_is_built_of_what_it_copies_and_nothing_else() -> None:
    copied = {
        word for name, rest in _instructions() if name == "COPY" and "--from" not in rest
        for word in rest.split()[:-1]
    }  # fmt: skip
    assert all((ROOT / word).exists() for word in copied)
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert kept[0] == "**"
    assert {line[1:] for line in kept if line.startswith("!")} == {w.rstrip("/") for w in copied}
