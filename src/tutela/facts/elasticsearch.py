"""Elasticsearch, OpenSearch and their consoles: where they listen, whether they ask for a login.

Sources: elasticsearch.yml, opensearch.yml (the security plugin is on unless it is disabled), kibana.yml, and the status that GET / gives to a stranger on loopback.
Elasticsearch 8 turns security on by itself, 7 does not; without a setting only the answer tells.
"""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound, plain_yaml
from tutela.facts.bound import Endpoint, Service
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

ENGINES = ("elasticsearch", "opensearch")
CONSOLES = ("kibana", "opensearch-dashboards")
SERVICE = Service(
    processes=(*ENGINES, *CONSOLES),
    ports=(9200, 9300, 5601),
    packages=("elasticsearch", "elasticsearch-oss", "opensearch", "kibana", "opensearch-dashboards"),
)
FILES = {"elasticsearch": "/etc/elasticsearch/elasticsearch.yml", "opensearch": "/etc/opensearch/opensearch.yml"}
CONSOLE_FILES = ("/etc/kibana/kibana.yml", "/etc/opensearch-dashboards/opensearch_dashboards.yml")
ANSWER = "curl http://127.0.0.1:9200/ (status)"
NEEDS = (*bound.NEEDS, *FILES.values(), *CONSOLE_FILES, ANSWER)


@record
class Elasticsearch:
    """Elasticsearch(present=True, endpoints=(Endpoint(…),), authentication=True, beyond_loopback=False)"""

    present: bool | Unobserved
    endpoints: tuple[Endpoint, ...] | Unobserved
    authentication: bool | Unobserved
    """A stranger is refused. A console asks whenever the engine behind it does."""
    beyond_loopback: bool | Unobserved


def parse(look: Look) -> Elasticsearch | Unobserved:
    """The fact; Unobserved when neither processes nor sockets were seen."""
    up = bound.running(look, SERVICE)
    found = bound.endpoints(look, SERVICE)
    if isinstance(up, Unobserved) and isinstance(found, Unobserved):
        return up
    texts = {path: look.text_or_none(path) for path in (*FILES.values(), *CONSOLE_FILES)}
    doubt = next((text for text in texts.values() if isinstance(text, Unobserved)), None)
    return Elasticsearch(
        present=bound.present(look, SERVICE, doubt if doubt is not None else any(text is not None for text in texts.values())),
        endpoints=found,
        authentication=_authentication(look, texts),
        beyond_loopback=bound.beyond_loopback(found),
    )


def _authentication(look: Look, texts: dict[str, str | Unobserved | None]) -> bool | Unobserved:
    if any(isinstance(text, str) and _lets_strangers_in(text) for text in texts.values()):
        return False  # whatever GET / says: a stranger has the rights of some role
    answer = look.text(ANSWER)
    if isinstance(answer, str) and answer.strip() in ("200", "401", "403"):
        # Such a role may be refused GET / too, so a refusal counts where the file was seen, or there is none.
        return False if answer.strip() == "200" else unseen(look, FILES["elasticsearch"]) or True
    for engine, path in FILES.items():
        text = texts[path]
        if isinstance(text, Unobserved):
            return text
        if text is None:
            continue
        settings = plain_yaml.read(text)
        if settings is None:
            return Unobserved(Reason.FORMAT, path, Text("看不懂的 YAML", "YAML that is not understood"))
        if engine == "opensearch" and not plain_yaml.hides(settings, "plugins.security.disabled"):
            return settings.get("plugins.security.disabled", ("false",))[-1].lower() != "true"
        said = settings.get("xpack.security.enabled")
        if said is not None:
            return said[-1].lower() == "true"
    return Unobserved(Reason.NO_ANSWER, ANSWER, Text("配置没有写明，也没有回答", "the configuration does not say, and there was no answer"))


def _lets_strangers_in(text: str) -> bool:
    """The setting anonymous.roles makes whoever comes without a name somebody."""
    return any(key.startswith("xpack.security.authc.anonymous.roles") for key in plain_yaml.read(text) or {})
