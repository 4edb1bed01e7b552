"""Manifests of the feature `kubernetes`: built by Kustomize, valid, restricted, and consistent with the service."""

import ast
import json
import math
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
PLACEHOLDERS = {ip_network("192.0.2.1/32"), ip_network("192.0.2.0/24")}  # TEST-NET-1: works in no cluster by accident

WITH = {"features": "[example,kubernetes]"}
WITH_WORKERS = {"framework": "django", "features": "[example,kubernetes,jobs]"}
WITH_PIPELINE = {"framework": "django", "features": "[example,kubernetes,jobs,data]"}


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
        if manifest["kind"] == "CronJob":
            yield manifest["spec"]["jobTemplate"]["spec"]["template"]


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
    check(tmp_path, list(yaml.safe_load_all(built(service.path, overlay))))


def check(folder: Path, manifests: list[Manifest]) -> None:
    """Compare manifests with the schemas of Kubernetes."""
    (folder / "built.yaml").write_text(yaml.safe_dump_all(manifests))
    output = Project(folder).run(TOOLS / "kubernetes-validate", "--strict", "built.yaml")
    kinds = [manifest["kind"] for manifest in manifests]
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
    assert selected == dict.fromkeys(selected, everybody) | ({"from-gateway": {"api"}} if "to-smtp" in selected else {})


def test_network_policies_deny_by_default(manifests: list[Manifest], overlay: str) -> None:
    policies = {
        manifest["metadata"]["name"]: manifest["spec"] for manifest in manifests if manifest["kind"] == "NetworkPolicy"
    }
    for spec in policies.values():
        del spec["podSelector"]  # see UNKNOWN
    assert policies.pop("deny") == {"policyTypes": ["Ingress", "Egress"]}
    [names] = policies.pop("to-dns")["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    if overlay == "production":
        [entrance] = policies.pop("from-gateway")["ingress"]
        assert (len(entrance["from"]), entrance["ports"]) == (1, [{"port": "http"}])
        [database] = policies.pop("to-database")["egress"]
        assert (len(database["to"]), database["ports"]) == (1, [{"port": 5432}])
        assert ip_network(database["to"][0]["ipBlock"]["cidr"]) in PLACEHOLDERS
        # Production refuses to start without SMTP_URL.
        assert policies.pop("to-smtp")["egress"] == [{"ports": [{"port": 587}, {"port": 465}]}]
    else:
        assert policies.pop("to-postgresql")["egress"] == [{"ports": [{"port": 5432}]}]
    assert policies == {}


def test_each_component_allows_its_ports(project: Callable[..., Project]) -> None:
    """The page names each component, and an overlay may list all of them."""
    service = project(**WITH)
    page = (service.path / "docs/kubernetes.md").read_text()
    named = dict(re.findall(r"`../../components/(to-\w+)`[^|]*\| ([\d, ]+?) \|", page))
    names = sorted(path.name for path in (service.path / "deploy/components").iterdir())
    assert sorted(named) == names
    overlay = service.path / "deploy/overlays/development/kustomization.yaml"
    listed = "".join(f"  - ../../components/{name}\n" for name in names if name not in overlay.read_text())
    overlay.write_text(overlay.read_text().replace("components:\n", f"components:\n{listed}"))
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
    for policy in [manifest for manifest in manifests if manifest["metadata"]["name"] == "from-gateway"]:
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


def test_trusted_proxies_are_set_by_the_operator(production: list[Manifest]) -> None:
    """Otherwise all clients would share one rate limit, and Django's admin would refuse forms."""
    assert ip_network(of_kind(production, "ConfigMap")["data"]["TRUSTED_PROXIES"]) in PLACEHOLDERS


def test_ingress_replaces_the_route(project: Callable[..., Project], tmp_path: Path) -> None:
    service = project(**WITH)
    overlay = service.path / "deploy/overlays/production/kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("  - http-route.yaml # or ingress.yaml\n", "  - ingress.yaml\n"))
    manifests = list(yaml.safe_load_all(service.run("kubectl", "kustomize", str(overlay.parent))))
    assert "HTTPRoute" not in {manifest["kind"] for manifest in manifests}
    ingress, backend = of_kind(manifests, "Ingress"), of_kind(manifests, "Service")
    [rule], [tls] = ingress["spec"]["rules"], ingress["spec"]["tls"]
    assert [rule["host"]] == tls["hosts"] == of_kind(manifests, "ConfigMap")["data"]["ALLOWED_HOSTS"].split(",")
    [path] = rule["http"]["paths"]
    target = {"name": backend["metadata"]["name"], "port": {"name": backend["spec"]["ports"][0]["name"]}}
    assert (path["path"], path["pathType"], path["backend"]) == ("/", "Prefix", {"service": target})
    check(tmp_path, manifests)


def test_changed_secret_and_settings_reach_the_pods(manifests: list[Manifest]) -> None:
    """Reloader replaces the pods after a change of the Secret, and Argo CD and Flux replace the unchangeable Job."""
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            [secret] = {
                source["secretRef"]["name"]
                for container in containers([manifest])
                for source in container["envFrom"]
                if "secretRef" in source
            }
            assert manifest["metadata"]["annotations"]["secret.reloader.stakater.com/reload"] == secret
    assert of_kind(manifests, "Job")["metadata"]["annotations"] == {
        "argocd.argoproj.io/sync-options": "Force=true,Replace=true",
        "kustomize.toolkit.fluxcd.io/force": "enabled",
    }


def test_pods_fit_into_a_default_database(service: Project, production: list[Manifest]) -> None:
    """The init container counts what the autoscaler and the workers may start: `python -m app wait --processes`."""
    [waiting] = of_kind(production, "Deployment")["spec"]["template"]["spec"]["initContainers"]
    given = {variable["name"]: int(variable["value"]) for variable in waiting["env"]}
    pods = {"PODS": of_kind(production, "HorizontalPodAutoscaler")["spec"]["maxReplicas"]}
    assert given == pods | dict.fromkeys(
        given.keys() - pods, sum(worker["spec"]["replicas"] for worker in workers(production))
    )
    assert waiting["args"][3:] == [part for name in given for part in ("--processes", f"$({name})")]
    [surge] = re.findall(r"^SURGE = ([\d.]+)$", (service.path / "src/app/core/cli/probe.py").read_text(), re.MULTILINE)
    rollout = of_kind(production, "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    assert float(surge) == 1 + float(rollout.removesuffix("%")) / 100
    pool = int(of_kind(production, "ConfigMap")["data"]["DATABASE_POOL_SIZE"])
    assert math.ceil(sum(given.values()) * float(surge)) * pool <= 97


def test_pipeline_is_a_whole_cron_job(project: Callable[..., Project], tmp_path: Path) -> None:
    service = project(**WITH_PIPELINE)
    page = (service.path / "docs/data.md").read_text()
    [block] = re.findall(r"```yaml\n(components:.+?)```", page, re.DOTALL)
    given = yaml.safe_load(block)
    overlay = service.path / "deploy/overlays/production/kustomization.yaml"
    kustomization = yaml.safe_load(overlay.read_text())
    kustomization["components"] += given["components"]
    kustomization["patches"] = given["patches"]
    overlay.write_text(yaml.safe_dump(kustomization))
    manifests = list(yaml.safe_load_all(service.run("kubectl", "kustomize", str(overlay.parent))))
    folder = tmp_path / "built"
    folder.mkdir()
    check(folder, manifests)
    scan(service, folder)

    cron = of_kind(manifests, "CronJob")["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["startingDeadlineSeconds"]
    assert cron["successfulJobsHistoryLimit"]
    assert cron["failedJobsHistoryLimit"]
    job = cron["jobTemplate"]["spec"]
    assert 0 < job["activeDeadlineSeconds"] < 24 * 3600
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    [command, name, *arguments] = container["args"]
    assert command == "pipeline"
    assert (service.path / "src/app" / name / "pipeline.py").exists()
    assert "--output" in arguments, "results are kept on the volume"
    [migrate] = of_kind(manifests, "Job")["spec"]["template"]["spec"]["containers"]
    for key in ("image", "envFrom", "securityContext"):
        assert container[key] == migrate[key]
    assert (
        pod["securityContext"].items()
        >= of_kind(manifests, "Job")["spec"]["template"]["spec"]["securityContext"].items()
    )
    claim = of_kind(manifests, "PersistentVolumeClaim")["metadata"]["name"]
    [volume] = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert volume["persistentVolumeClaim"]["claimName"] == claim
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["workingDir"] == mounts[volume["name"]]
    [settings] = re.findall(r"`(POLARS_[A-Z_0-9=]+ POLARS_\S+ _RJEM\S+)`", page)
    assert {f"{variable['name']}={variable['value']}" for variable in container["env"]} == {*settings.split()}
    statuses = {
        int(number)
        for row in re.findall(r"^\| ([\d, ]+) \|.*a retry fails too|^\| (65) \|", page, re.MULTILINE)
        for number in "".join(row).split(", ")
    }
    [failing] = [
        rule["onExitCodes"]["values"] for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"
    ]
    assert {*failing} == statuses == {1, 2, 65}
    selectors = [
        one["spec"]["podSelector"] for one in manifests if one["metadata"]["name"] in {"to-dns", "to-database"}
    ]
    assert selectors == [{}, {}], "the pipeline may connect to the database"


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
        [other] = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["initContainers"]
        assert waiting["args"] == other["args"][:3]
        assert worker["spec"]["progressDeadlineSeconds"] > int(waiting["args"][-1])
        settings = (service.path / "src/app/core/jobs/settings.py").read_text()
        [grace] = map(float, re.findall(r"worker_grace_seconds: float = Field\(\s*default=(\d+)", settings))
        assert pod["terminationGracePeriodSeconds"] > grace


def test_checkov_findings_have_a_reason(render: Callable[..., Project], tmp_path: Path) -> None:
    service = render(**WITH_WORKERS)
    for overlay in OVERLAYS:
        (tmp_path / f"{overlay}.yaml").write_text(built(service.path, overlay))
    scan(service, tmp_path)


def scan(service: Project, folder: Path) -> None:
    """Check the manifests in a folder and the Dockerfile with Checkov."""
    shutil.copy(service.path / "deploy/.checkov.yaml", folder)
    shutil.copy(service.path / "Dockerfile", folder)
    command = ("uvx", "--quiet", CHECKOV, "--directory", ".", "--skip-download", "--output", "json", "--quiet")
    [*reports] = json.loads(Project(folder).run(*command))
    assert {report["check_type"]: report["summary"]["failed"] for report in reports} == {
        "dockerfile": 0,
        "kubernetes": 0,
    }
    assert all(report["summary"]["passed"] > 50 for report in reports)
    assert all(report["summary"]["parsing_errors"] == 0 for report in reports)
