"""The manifests are what Kubernetes takes, and fit each other and the server."""

import itertools
import shutil
import subprocess

import pytest
import yaml

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from click import Option

import dialog_policy
from dialog_policy.cli.serve import serve
from dialog_policy.serving.server import PATIENCE_S
from dialog_policy.serving.stores import MemoryStore
from tests.conftest import REPOSITORY
from tests.serving.conftest import run, serving  # noqa: F401 - fixtures

FOLDER = REPOSITORY / "deploy" / "kubernetes"
NAMES = [path.name for path in sorted(FOLDER.glob("*.yaml")) if path.name != "kustomization.yaml"]
# The oldest with everything that the manifests use, and newer ones.
VERSIONS = ["1.25", "1.30", "1.33"]


def manifest(kind):
    (found,) = (m for name in NAMES if (m := yaml.safe_load((FOLDER / name).read_text()))["kind"] == kind)
    return found


@pytest.fixture
def deployment():
    return manifest("Deployment")["spec"]


@pytest.fixture
def pod(deployment):
    return deployment["template"]["spec"]


@pytest.fixture
def container(pod):
    (only,) = pod["containers"]
    return only


@pytest.mark.parametrize(("name", "version"), list(itertools.product(NAMES, VERSIONS)))
def test_each_is_valid_by_the_schema_of_kubernetes(name, version):
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed (extra test)")
    document = yaml.safe_load((FOLDER / name).read_text())
    validate.validate(document, version, strict=True)
    document["spec"]["replica"] = 3
    with pytest.raises(validate.ValidationError):
        validate.validate(document, version, strict=True)


def test_the_kustomization_has_all_of_them():
    assert yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"] == NAMES
    if shutil.which("kubectl"):
        built = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=True).stdout
        assert len(list(yaml.safe_load_all(built))) == len(NAMES)


def test_selectors_select_the_workers(deployment):
    labels = deployment["template"]["metadata"]["labels"]
    budget, service = manifest("PodDisruptionBudget")["spec"], manifest("Service")["spec"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert service["selector"].items() <= labels.items()
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
    target = manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": manifest("Deployment")["metadata"]["name"]}


def test_the_server_has_what_is_asked_of_it(container, deployment, serving):  # noqa: F811
    """The paths of the probes answer without a token, the metric is counted, ports and names are the same everywhere."""
    client = serving(store=MemoryStore(), token="secret")
    assert {probe["httpGet"]["port"] for name, probe in container.items() if name.endswith("Probe")} == {"http"}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert client.get(container[name]["httpGet"]["path"]).status_code == 200
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    (metric,) = manifest("HorizontalPodAutoscaler")["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"].removesuffix("_per_second") + "_total"
    notes = deployment["template"]["metadata"]["annotations"]
    figures = client.get(notes["prometheus.io/path"], headers={"Authorization": "Bearer secret"}).text
    assert f"# TYPE {name} counter" in figures
    (port,) = container["ports"]
    assert notes["prometheus.io/port"] == str(port["containerPort"])
    assert f"--port={port['containerPort']}" in container["args"]
    (published,) = manifest("Service")["spec"]["ports"]
    assert published["targetPort"] == port["name"] == "http"


def test_the_command_knows_its_options_and_secrets(container):
    command, run, *options = container["args"]  # noqa: F811
    assert (command, run) == (serve.name, "shop=/runs/shop.zip")
    known = {name for parameter in serve.params if isinstance(parameter, Option) for name in parameter.opts}
    assert {option.partition("=")[0] for option in options} <= known
    names = {variable["name"]: variable["valueFrom"]["secretKeyRef"] for variable in container["env"]}
    assert set(names) == {"DIALOG_POLICY_TOKEN", "DIALOG_POLICY_STORE"}
    assert {reference["name"] for reference in names.values()} == {"dialog-policy"}
    (store,) = (parameter for parameter in serve.params if parameter.name == "store")
    assert store.envvar == "DIALOG_POLICY_STORE"


def test_requests_under_way_are_finished(pod, container):
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > before + PATIENCE_S


def test_it_may_do_as_little_as_possible(pod, container):
    context, own = pod["securityContext"], container["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] > 0
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert not pod["automountServiceAccountToken"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["runs"]["readOnly"]
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    (claim,) = (v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v)
    assert claim == manifest("PersistentVolumeClaim")["metadata"]["name"]


def test_the_image_is_the_one_of_the_dockerfile(pod, container):
    lines = (REPOSITORY / "deploy" / "Dockerfile").read_text().splitlines()
    context = pod["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in lines
    assert 'ENTRYPOINT ["dialog-policy"]' in lines
    assert container["image"] == f"dialog-policy:{dialog_policy.__version__}"
    assert f"--tag {container['image']} " in lines[0]
    assert '".[serve,postgres]"' in "\n".join(lines)
    sent = (REPOSITORY / "deploy" / "Dockerfile.dockerignore").read_text()
    for needed in ("setup.cfg", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "dialog_policy"):
        assert f"\n!{needed}\n" in sent
