"""The Dockerfile, compose.yaml and the Kubernetes examples: what a linter does not see."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from hanhua.cli import app, models
from hanhua.serve.engine_process import EngineCommand
from hanhua.serve.vllm import vllm_command

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
SECRET = re.compile(r"(?i)(key|token|password|secret)s?$")
ROUTES = {"/health", "/ready"}
"""tests/serve/test_external.py asks a real server for each path that the files probe."""
USER = 10001


def instructions() -> list[tuple[int, str, str]]:
    """(stage, instruction, arguments) of the Dockerfile, continued lines joined."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    found, stage = [], -1
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        stage += name == "FROM"
        found.append((stage, name, " ".join(rest.split())))
    return found


INSTRUCTIONS = instructions()
LAST = INSTRUCTIONS[-1][0]


def of(name: str, stage: int | None = None) -> list[str]:
    return [rest for at, kind, rest in INSTRUCTIONS if kind == name and stage in (None, at)]


def compose() -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))


def kubernetes() -> list[tuple[str, dict[str, Any]]]:
    files = sorted((REPOSITORY / "deploy").glob("*.yaml"))
    assert len(files) == 2
    return [(f.name, d) for f in files for d in yaml.safe_load_all(f.read_text(encoding="utf-8"))]


def pods() -> list[tuple[str, dict[str, Any]]]:
    found = [
        (n, d["spec"]["template"]["spec"]) for n, d in kubernetes() if d["kind"] == "Deployment"
    ]
    assert [name for name, _ in found] == ["kubernetes-vllm.yaml", "kubernetes.yaml"]
    return found


def our_command_lines() -> list[list[str]]:
    """Everything that our image is told to run."""
    lines = [json.loads(of("CMD", LAST)[0])]
    lines += [compose()["services"][name]["command"] for name in ("cpu", "cuda")]
    return [*lines, *(pod["containers"][0]["args"] for name, pod in pods() if "vllm" not in name)]


def test_the_base_images_are_pinned_and_the_build_stays_behind() -> None:
    defaults = dict(line.split("=", 1) for line in of("ARG", -1))
    images = [re.sub(r"\$\{(\w+)\}", lambda m: defaults[m[1]], f.split()[0]) for f in of("FROM")]
    assert len(images) == 2
    for image in images:
        tag = image.split(":")[1]
        assert re.match(r"\d+\.\d+\.\d+-", tag), image  # an exact release
    assert "slim" in images[-1]
    assert [c for c in of("COPY", LAST) if not c.startswith("--from=build")] == []
    assert not any("pip install" in run for run in of("RUN", LAST))


def test_it_runs_as_nobody_special_from_its_start() -> None:
    assert of("USER") == [f"{USER}:{USER}"]
    order = [name for stage, name, _ in INSTRUCTIONS if stage == LAST]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert not {"RUN", "COPY"} & set(order[order.index("USER") :])
    assert f"--uid {USER}" in " ".join(of("RUN", LAST))


def test_the_health_check_asks_what_the_server_has() -> None:
    (check,) = of("HEALTHCHECK")
    assert "--start-period=" in check
    command = json.loads(check.split("CMD ", 1)[1])
    assert command[:3] == ["python", "-I", "-c"]
    compile(command[3], "HEALTHCHECK", "exec")
    assert set(re.findall(r"'(/\w+)'", command[3])) == {"/health"}
    port = of("EXPOSE")[0]
    assert f"'127.0.0.1', {port}" in command[3]
    assert port in json.loads(of("CMD", LAST)[0])


def test_no_secret_is_baked_in() -> None:
    names = [n for kind in ("ENV", "ARG") for line in of(kind) for n in re.findall(r"(\w+)=", line)]
    assert "HF_HUB_OFFLINE" in names
    assert [name for name in names if SECRET.search(name)] == []


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split("\n")
    ignored = [line for line in ignored if line and not line.startswith("#")]
    assert ignored[0] == "*"  # all but what is let through: no weights, no keys, no .git
    passed = {line[1:] for line in ignored if line.startswith("!")}
    sources = {s.removeprefix("./") for c in of("COPY", 0) for s in c.split()[:-1]}
    assert sources == passed
    assert all((REPOSITORY / name).exists() for name in sources)
    wanted = {"pyproject.toml", "setup.py", "MANIFEST.in", "src"}
    readme = re.search(r'^readme = "(.*)"', (REPOSITORY / "pyproject.toml").read_text(), re.M)
    assert readme
    assert sources >= wanted | {readme[1]}
    assert not any(fnmatch.fnmatch("src/hanhua/cli/models.py", line) for line in ignored[1:])


def test_every_command_is_a_command_of_ours_with_options_that_it_has() -> None:
    assert models
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = our_command_lines()
    assert len(lines) == 4
    for line in lines:
        made = commands[line[0]].make_context(line[0], list(line[1:]))
        assert made.params["model"] == Path("/model")
        assert made.params["host"] == "0.0.0.0"
        assert made.params["port"] == 8000
    assert json.loads(of("ENTRYPOINT")[0]) == ["hanhua"]
    assert sum("--api-key-file" in line for line in lines) == 3


@pytest.mark.parametrize("name", ["cpu", "cuda", "vllm"])
def test_compose_services(name: str) -> None:
    whole = compose()
    assert set(whole["services"]) == {"cpu", "cuda", "vllm"}
    service = whole["services"][name]
    assert service["profiles"] == [name]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["secrets"] == list(whole["secrets"]) == ["api_keys"]
    (weights,) = service["volumes"]
    assert (weights["target"], weights["read_only"]) == ("/model", True)
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not any(SECRET.search(key) for key in service.get("environment", {}))
    if name != "vllm":
        assert service["read_only"]
        assert service["tmpfs"] == ["/tmp"]
        assert set(service["build"]["args"]) <= {line.split("=")[0] for line in of("ARG", 0)}
        assert service["build"]["args"]["DEVICE"] == name
    gpu = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices")
    assert bool(gpu) == (name != "cpu")


def vllm_lines() -> list[list[str]]:
    (shell,) = compose()["services"]["vllm"]["command"]
    assert "--api-key" not in shell
    lines = [shlex.split(shell.split("exec ")[1])]
    return lines + [pod["containers"][0]["command"] for name, pod in pods() if "vllm" in name]


def test_vllm_is_started_as_we_start_it_ourselves(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    made: EngineCommand = vllm_command(
        "vllm", tmp_path, name="hanhua", host="0.0.0.0", port=8000, url="", secret="x"
    )
    ours = ["/model" if word == str(tmp_path) else word for word in made.argv]
    lines = vllm_lines()
    assert len(lines) == 2
    for line in lines:
        assert [word.replace("${NAME:-hanhua}", "hanhua") for word in line] == ours
    # the key goes by the variable that our own start uses
    variable = next(name for name, value in made.environment.items() if value == "x")
    assert variable in compose()["services"]["vllm"]["command"][0]
    (container,) = [pod["containers"][0] for name, pod in pods() if "vllm" in name]
    entry = next(entry for entry in container["env"] if entry["name"] == variable)
    assert "secretKeyRef" in entry["valueFrom"]


def test_the_key_that_vllm_gets_is_the_first_of_the_file(tmp_path: Path) -> None:
    """The one line of shell in the compose file, run as it stands."""
    (shell,) = compose()["services"]["vllm"]["command"]
    keys = tmp_path / "keys"
    line = shell.replace("$$", "$").replace("/run/secrets/api_keys", str(keys))
    line = line.split("exec ")[0] + 'printf %s "$VLLM_API_KEY"'
    for text, key in (("# mine\n\none name=a rpm=5\ntwo\n", "one"), ("one", "one"), ("# no\n", "")):
        keys.write_text(text)
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
        assert (done.stdout, done.returncode) == (key, 0 if key else 1)


@pytest.mark.parametrize(("name", "pod"), pods())
def test_pods_probe_what_is_there_and_may_do_little(name: str, pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}  # fmt: skip # noqa: E501
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert {"name": "http", "containerPort": 8000} in container["ports"]
    assert {probe["path"] for probe in probes.values()} <= ROUTES
    assert probes["liveness"]["path"] == "/health"
    assert (probes["readiness"]["path"] == "/ready") == ("vllm" not in name)
    assert container["resources"]["requests"]
    assert container["resources"]["limits"]["memory"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert next(m for m in container["volumeMounts"] if m["name"] == "model")["readOnly"]
    assert not pod["automountServiceAccountToken"]
    if "vllm" not in name:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == USER
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert any(m["mountPath"] == "/tmp" for m in container["volumeMounts"])


def test_services_find_their_pods() -> None:
    found = kubernetes()
    services = [(n, d) for n, d in found if d["kind"] == "Service"]
    assert len(services) == 2
    for name, service in services:
        (pod,) = [d for n, d in found if n == name and d["kind"] == "Deployment"]
        labels = pod["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"] == labels == pod["spec"]["selector"]["matchLabels"]
        assert service["spec"]["ports"][0]["targetPort"] == "http"


def test_the_build_installs_what_the_project_names() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install = " ".join(of("RUN", 0))
    named = dict(re.findall(r"(\w+)\) extras=([\w,]+)", install))
    assert set(named) == {"cpu", "cuda"}
    for extras in named.values():
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert "hanhua[$extras] @ file:///build" in install
    assert "/build" in of("WORKDIR", 0)
    torch = re.search(r"TORCH \?= torch==(\S+)", (REPOSITORY / "Makefile").read_text())
    assert torch
    assert f"TORCH_VERSION={torch[1]}" in of("ARG", 0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_build_says_when_torch_is_not_for_its_device(device: str) -> None:
    """The line of the Dockerfile, run as it stands over the torch that is here."""
    torch = pytest.importorskip("torch")
    [line] = re.findall(r'python -c "(import sys, torch; [^"]+)"', " ".join(of("RUN", 0)))
    shell = f'DEVICE={device}; "{sys.executable}" -c "{line}"'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True)
    assert done.returncode == (device == "cuda" and not torch.version.cuda)
    assert ("CPU build" in done.stderr) == bool(done.returncode)
    assert ("TORCH_INDEX" in done.stdout) == (device == "cpu" and bool(torch.version.cuda))
