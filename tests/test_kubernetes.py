"""Manifests of the feature `kubernetes`: built by Kustomize, valid, restricted, and consistent with the service."""

import ast
import json
import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TOOLS, Project

pytestmark = pytest.mark.deep

type Manifest = dict[str, Any]

OVERLAYS = ["development", "production"]
CHECKOV = "checkov==3.3.30"
UNKNOWN = {"HTTPRoute"}  # kinds of the Gateway API, which the Kubernetes schemas lack

WITH = {"features": "[example,kubernetes]"}
WITH_WORKERS = {"framework": "django", "features": "[example,kubernetes,jobs]"}


@pytest.fixture(params=[WITH, WITH_WORKERS], ids=["fastapi", "django-jobs"])
def service(render: Callable[..., Project], request: pytest.FixtureRequest) -> Project:
    return render(**request.param)


@cache
def built(service: Path, overlay: str) -> str:
    """Return the manifests that `kubectl apply -k` applies."""
    assert shutil.which("kubectl"), (
        "The tests of the manifests need kubectl: install Debian's package kubectl (of trixie or later) or"
        " https://kubernetes.io/docs/tasks/tools/."
    )
    return Project(service).run("kubectl", "kustomize", f"deploy/overlays/{overlay}")


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def manifests(service: Project, overlay: str) -> list[Manifest]:
    return list(yaml.safe_load_all(built(service.path, overlay)))


@pytest.fixture
def production(service: Project) -> list[Manifest]:
    return list(yaml.safe_load_all(built(service.path, "production")))


def of_kind(manifests: list[Manifest], kind: str) -> Manifest:
    [found] = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and manifest["metadata"]["name"] not in {"worker", "workers"}
    ]
    return found


def workers(manifests: list[Manifest]) -> list[Manifest]:
    """Return the Deployment of the feature `jobs`, if it is on."""
    return [manifest for manifest in manifests if manifest["metadata"]["name"] == "worker"]


def pods(manifests: list[Manifest]) -> Iterator[Manifest]:
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "Job"}:
            yield manifest["spec"]["template"]


def containers(manifests: list[Manifest]) -> Iterator[Manifest]:
    for pod in pods(manifests):
        yield from pod["spec"].get("initContainers", [])
        yield from pod["spec"]["containers"]


def api(manifests: list[Manifest]) -> Manifest:
    [container] = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    found: Manifest = container
    return found


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))


def variables(service: Project) -> dict[str, str]:
    """Return the variables of all settings classes with their descriptions."""
    found = {}
    for path in (service.path / "src/app").rglob("*.py"):
        if path.name in {"config.py", "settings.py"}:
            for class_ in classes(path):
                for field in class_.body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Call):
                        said = [word.value for word in field.value.keywords if word.arg == "description"]
                        found[ast.unparse(field.target).upper()] = ast.literal_eval(said[0]) if said else ""
    return found


def test_without_kubernetes_no_file_mentions_it(render: Callable[..., Project]) -> None:
    without = render()
    for path in without.files():
        assert path.parts[0] != "deploy"
        assert "kube" not in str(path).lower()
        text = (without.path / path).read_text()
        if path.suffix == ".md" or path.name.startswith(("Dockerfile", "compose")):
            assert not re.search("kubernetes|kubectl|kustomize", text, re.IGNORECASE), path


def test_manifests_match_their_schemas(service: Project, overlay: str, tmp_path: Path) -> None:
    (tmp_path / "built.yaml").write_text(built(service.path, overlay))
    output = Project(tmp_path).run(TOOLS / "kubernetes-validate", "--strict", "built.yaml")
    kinds = [manifest["kind"] for manifest in yaml.safe_load_all(built(service.path, overlay))]
    assert output.count(" passed for resource ") == len([kind for kind in kinds if kind not in UNKNOWN])
    assert set(re.findall(r"Couldn't find schema for kind (\w+)", output)) == UNKNOWN & {*kinds}


@pytest.mark.parametrize(
    ("path", "value"),
    [(("spec", "replica"), 2), (("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), "http")],
)
def test_invalid_manifest_is_found(
    production: list[Manifest], tmp_path: Path, path: tuple[str | int, ...], value: object
) -> None:
    manifest = part = of_kind(production, "Deployment")
    for step in path[:-1]:
        part = part[step]  # type: ignore[index] # of lists too
    part[path[-1]] = value  # type: ignore[index]
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(manifest))
    Project(tmp_path).run(TOOLS / "kubernetes-validate", "--strict", "wrong.yaml", fails=True)


def test_http_route_matches_its_schema(production: list[Manifest]) -> None:
    """By hand: see UNKNOWN."""
    route = of_kind(production, "HTTPRoute")
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"].keys() == {"parentRefs", "hostnames", "rules"}
    [parent] = route["spec"]["parentRefs"]
    assert parent.keys() == {"name", "namespace"}
    [rule] = route["spec"]["rules"]
    assert rule.keys() == {"backendRefs"}
    [backend] = rule["backendRefs"]
    assert (backend["name"], backend["port"]) == ("api", of_kind(production, "Service")["spec"]["ports"][0]["port"])


def test_selectors_match_only_their_pods(manifests: list[Manifest]) -> None:
    labels = {pod["spec"]["containers"][0]["name"]: pod["metadata"]["labels"] for pod in pods(manifests)}
    everybody = {"api", "migrate", *(manifest["metadata"]["name"] for manifest in workers(manifests))}
    assert labels.keys() == everybody

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, having in labels.items() if selector.items() <= having.items()}

    deployment = of_kind(manifests, "Deployment")
    assert found(of_kind(manifests, "Service")["spec"]["selector"]) == {"api"}
    for one in (deployment, *workers(manifests)):
        assert found(one["spec"]["selector"]["matchLabels"]) == {one["metadata"]["name"]}
        for constraint in one["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert found(constraint["labelSelector"]["matchLabels"]) == {one["metadata"]["name"]}
    selected = {
        manifest["metadata"]["name"]: found(manifest["spec"]["podSelector"].get("matchLabels", {}))
        for manifest in manifests
        if manifest["kind"] == "NetworkPolicy"
    }
    smtp = {"to-smtp": everybody} if "to-smtp" in selected else {}
    assert selected == {"deny": everybody, "from-gateway": {"api"}, "to-dependencies": everybody} | smtp


def test_network_policies_deny_by_default(manifests: list[Manifest], overlay: str) -> None:
    policies = {
        manifest["metadata"]["name"]: manifest["spec"] for manifest in manifests if manifest["kind"] == "NetworkPolicy"
    }
    for spec in policies.values():
        del spec["podSelector"]  # see UNKNOWN
    assert policies.pop("deny") == {"policyTypes": ["Ingress", "Egress"]}
    [entrance] = policies.pop("from-gateway")["ingress"]
    assert (len(entrance["from"]), entrance["ports"]) == (1, [{"port": "http"}])
    exits = policies.pop("to-dependencies")["egress"]
    assert {port["port"] for rule in exits for port in rule["ports"]} == {53, 5432}
    if overlay == "production":  # refuses to start without SMTP_URL
        assert policies.pop("to-smtp")["egress"] == [{"ports": [{"port": 587}, {"port": 465}]}]
    assert policies == {}


def test_each_component_allows_its_ports(project: Callable[..., Project]) -> None:
    """The page names each component, and an overlay may list all of them."""
    service = project(**WITH)
    page = (service.path / "docs/kubernetes.md").read_text()
    named = dict(re.findall(r"`../../components/(to-\w+)`[^|]*\| ([\d, ]+?) \|", page))
    names = sorted(path.name for path in (service.path / "deploy/components").iterdir())
    assert sorted(named) == names
    overlay = service.path / "deploy/overlays/development/kustomization.yaml"
    listed = "".join(f"  - ../../components/{name}\n" for name in names)
    overlay.write_text(f"{overlay.read_text()}components:\n{listed}")
    allowed = {
        manifest["metadata"]["name"]: manifest["spec"]["egress"]
        for manifest in yaml.safe_load_all(service.run("kubectl", "kustomize", str(overlay.parent)))
        if manifest["kind"] == "NetworkPolicy" and manifest["metadata"]["name"] in names
    }
    ports = {name: [{"ports": [{"port": int(port)} for port in text.split(", ")]}] for name, text in named.items()}
    assert allowed == ports


def test_workers_have_a_disruption_budget(render: Callable[..., Project]) -> None:
    manifests = list(yaml.safe_load_all(built(render(**WITH_WORKERS).path, "production")))
    [worker] = workers(manifests)
    [budget] = [one["spec"] for one in manifests if one["metadata"]["name"] == "workers"]
    assert budget["selector"] == worker["spec"]["selector"]
    assert 0 < budget["maxUnavailable"] < worker["spec"]["replicas"]


def test_private_registry_needs_only_a_secret(manifests: list[Manifest]) -> None:
    account = of_kind(manifests, "ServiceAccount")
    assert account["imagePullSecrets"] == [{"name": "registry"}]
    assert {pod["spec"]["serviceAccountName"] for pod in pods(manifests)} == {account["metadata"]["name"]}


def test_disruption_budget_matches_deployment(production: list[Manifest]) -> None:
    deployment, budget = of_kind(production, "Deployment"), of_kind(production, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= deployment["spec"]["selector"]["matchLabels"].items()
    scaler = of_kind(production, "HorizontalPodAutoscaler")["spec"]
    target = scaler["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert 1 < scaler["minReplicas"] < scaler["maxReplicas"]
    assert "replicas" not in deployment["spec"], "each apply would undo the autoscaler"


def test_settings_and_probes_use_the_same_port(service: Project, manifests: list[Manifest]) -> None:
    [port] = api(manifests)["ports"]
    settings = of_kind(manifests, "ConfigMap")["data"]
    exposed = re.findall(r"^EXPOSE (\d+)$", (service.path / "Dockerfile").read_text(), re.MULTILINE)
    assert [str(port["containerPort"])] == [settings["PORT"]] == exposed
    assert of_kind(manifests, "Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert api(manifests)[probe]["httpGet"]["port"] == port["name"]
    [policy] = [manifest for manifest in manifests if manifest["metadata"]["name"] == "from-gateway"]
    assert policy["spec"]["ingress"][0]["ports"] == [{"port": port["name"]}]


def test_probes_request_existing_routes(service: Project, manifests: list[Manifest]) -> None:
    code = (service.path / "src/app/core/http/health.py").read_text()
    prefix = "".join(re.findall(r'APIRouter\(prefix="([^"]+)"', code))
    routes = {prefix + path for path in re.findall(r'^@\w+\.get\("([^"]+)"', code, re.MULTILINE)}
    asked = {
        name: api(manifests)[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert {*asked.values()} == routes == {"/health/live", "/health/ready"}
    assert asked["livenessProbe"] == asked["startupProbe"] == "/health/live", (
        "a lost database must not restart the service"
    )
    # The probe waits longer than the service waits for its dependencies.
    seconds = float(*re.findall(r"^SECONDS = ([\d.]+)$", code, re.MULTILINE))
    assert api(manifests)["readinessProbe"]["timeoutSeconds"] > seconds


def test_environment_matches_the_settings(service: Project, manifests: list[Manifest], overlay: str) -> None:
    known = variables(service)
    settings = of_kind(manifests, "ConfigMap")
    assert settings["data"].keys() <= known.keys()
    assert settings["data"]["ENVIRONMENT"] == overlay
    assert settings["data"]["HOST"] == "0.0.0.0"  # noqa: S104 -- in a container
    for container in containers(manifests):
        assert container["envFrom"] == [
            {"configMapRef": {"name": settings["metadata"]["name"]}},
            {"secretRef": {"name": "secrets"}},
        ]
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    required = {name for name, said in known.items() if "required in production" in said}
    page = (service.path / "docs/kubernetes.md").read_text()
    named = set(re.findall(r"--from-literal=(\w+)=", page)) | set(re.findall(r"`(\w+)`", page)) & known.keys()
    assert required == {"DATABASE_URL", "SECRET_KEY", "PAYMENTS_SECRET", "SMTP_URL", "MAIL_FROM"}
    assert required <= named


def test_allowed_hosts_match_the_route(production: list[Manifest]) -> None:
    hosts = of_kind(production, "ConfigMap")["data"]["ALLOWED_HOSTS"]
    assert hosts.split(",") == of_kind(production, "HTTPRoute")["spec"]["hostnames"]
    [policy] = [manifest for manifest in production if manifest["metadata"]["name"] == "from-gateway"]
    [caller] = policy["spec"]["ingress"][0]["from"]
    [gateway] = of_kind(production, "HTTPRoute")["spec"]["parentRefs"]
    assert caller["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": gateway["namespace"]}


def test_gateway_is_a_trusted_proxy(production: list[Manifest]) -> None:
    """Otherwise all clients would share one rate limit, and Django's admin would refuse forms."""
    assert ip_network(of_kind(production, "ConfigMap")["data"]["TRUSTED_PROXIES"]).is_private


def test_overlays_survive_a_rename(
    render: Callable[..., Project], service: Project, overlay: str, tmp_path: Path
) -> None:
    """The overlays are the user's, and the base is the template's."""
    renamed = shutil.copytree(render(**WITH, project_slug="another").path / "deploy", tmp_path / "deploy")
    shutil.rmtree(renamed / "overlays")
    shutil.copytree(service.path / "deploy/overlays", renamed / "overlays")
    manifests = list(yaml.safe_load_all(built(tmp_path, overlay)))
    assert {container["image"] for container in containers(manifests)} == {
        container["image"] for container in containers(list(yaml.safe_load_all(built(service.path, overlay))))
    }


def test_rollout_has_no_downtime(service: Project, manifests: list[Manifest]) -> None:
    deployment = of_kind(manifests, "Deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    drain = float(of_kind(manifests, "ConfigMap")["data"]["DRAIN_SECONDS"])
    ending = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
    code = "".join(path.read_text() for path in (service.path / "src/app/core").rglob("*.py"))
    [finishing] = map(float, re.findall(r"^SHUTDOWN_SECONDS = (\d+)$", code, re.MULTILINE))
    before = api(manifests)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before >= 5
    assert ending > before + drain + finishing


def test_release_migrates_before_it_serves(service: Project, manifests: list[Manifest], overlay: str) -> None:
    job, deployment = of_kind(manifests, "Job"), of_kind(manifests, "Deployment")
    images = {container["image"] for container in containers(manifests)}
    [image] = images
    name, _, tag = image.rpartition(":")
    assert name.rpartition("/")[2] == "my-service"
    assert job["metadata"]["name"] == f"migrate.{tag}", (
        "a Job of another release would be refused as a change of this one"
    )
    [migrate] = job["spec"]["template"]["spec"]["containers"]
    [waiting] = deployment["spec"]["template"]["spec"]["initContainers"]
    commands = (service.path / "src/app/core/cli/main.py").read_text()
    for arguments in (migrate["args"], waiting["args"], api(manifests)["args"]):
        assert f'add_parser("{arguments[0]}"' in commands
    assert waiting["args"][:2] == ["wait", "--seconds"]
    assert int(waiting["args"][2]) >= job["spec"]["activeDeadlineSeconds"]
    assert deployment["spec"]["progressDeadlineSeconds"] > int(waiting["args"][2])
    # A development tag stays the same, so the next apply can create the Job only after its deletion.
    assert (job["spec"]["ttlSecondsAfterFinished"] == 0) == (overlay == "development")


def test_pods_are_restricted(service: Project, manifests: list[Manifest]) -> None:
    assert of_kind(manifests, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    namespaces = {manifest["metadata"].get("namespace") for manifest in manifests if manifest["kind"] != "Namespace"}
    assert namespaces == {of_kind(manifests, "Namespace")["metadata"]["name"]}
    [user] = re.findall(r"^USER (\d+):\1$", (service.path / "Dockerfile").read_text(), re.MULTILINE)
    for pod in pods(manifests):
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": int(user),
            "runAsGroup": int(user),
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert pod["spec"]["automountServiceAccountToken"] is False
    for container in containers(manifests):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() >= {"memory"}


def test_workers_wait_for_migrations_and_finish_jobs(service: Project, manifests: list[Manifest]) -> None:
    assert bool(workers(manifests)) == (service.path / "src/app/core/jobs").exists()
    for worker in workers(manifests):
        pod = worker["spec"]["template"]["spec"]
        [container], [waiting] = pod["containers"], pod["initContainers"]
        assert container["args"] == ["worker"]
        assert 'commands.add_parser("worker"' in (service.path / "src/app/core/jobs/commands.py").read_text()
        assert (
            waiting["args"] == of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["initContainers"][0]["args"]
        )
        assert worker["spec"]["progressDeadlineSeconds"] > int(waiting["args"][-1])
        settings = (service.path / "src/app/core/jobs/settings.py").read_text()
        [grace] = map(float, re.findall(r"worker_grace_seconds: float = Field\(\s*default=(\d+)", settings))
        assert pod["terminationGracePeriodSeconds"] > grace


def test_checkov_findings_have_a_reason(render: Callable[..., Project], tmp_path: Path) -> None:
    service = render(**WITH_WORKERS)
    (tmp_path / ".checkov.yaml").write_bytes((service.path / "deploy/.checkov.yaml").read_bytes())
    shutil.copy(service.path / "Dockerfile", tmp_path)
    for overlay in OVERLAYS:
        (tmp_path / f"{overlay}.yaml").write_text(built(service.path, overlay))
    scan = ("uvx", "--quiet", CHECKOV, "--directory", ".", "--skip-download", "--output", "json", "--quiet")
    [*reports] = json.loads(Project(tmp_path).run(*scan))
    assert {report["check_type"]: report["summary"]["failed"] for report in reports} == {
        "dockerfile": 0,
        "kubernetes": 0,
    }
    assert all(report["summary"]["passed"] > 50 for report in reports)
    assert all(report["summary"]["parsing_errors"] == 0 for report in reports)
