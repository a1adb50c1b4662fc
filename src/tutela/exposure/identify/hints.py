"""Which probe comes first on which port, and which come when nothing is known."""

from __future__ import annotations

from tutela.exposure.identify import amqp, cassandra, epmd, kafka, ldap, memcached, mongodb, mqtt, mssql, postgresql, rdp, redis, rpc, smb, web, x11, zookeeper
from tutela.exposure.identify.talk import Start

BY_PORT: dict[int, Start] = {
    111: rpc.mapper, 4369: epmd.talk, 2049: rpc.nfs, 389: ldap.talk, 636: ldap.talk, 3268: ldap.talk, 3269: ldap.talk, 139: smb.talk, 445: smb.talk,
    1433: mssql.talk, 1883: mqtt.talk, 8883: mqtt.talk, 2181: zookeeper.talk, 3389: rdp.talk, 5432: postgresql.talk, 5433: postgresql.talk, 6432: postgresql.talk,
    5671: amqp.talk, 5672: amqp.talk, 6379: redis.talk, 6380: redis.talk, 26379: redis.talk, 9042: cassandra.talk, 9092: kafka.talk, 9093: kafka.talk,
    11211: memcached.talk, 27017: mongodb.talk, 27018: mongodb.talk, 27019: mongodb.talk, **dict.fromkeys(range(6000, 6010), x11.talk),
    **{port: web.talk for api in web.APIS for port in api.ports}, **dict.fromkeys((80, 8000, 8008, 8080, 8081, 8090, 3000, 5000, 5601, 9000), web.talk),
}  # fmt: skip
"""The usual port of each protocol (IANA, and the defaults of the products), with and without TLS."""

TLS_FIRST = frozenset({443, 465, 636, 853, 989, 990, 993, 995, 2376, 3269, 4443, 5061, 5671, 5986, 6443, 8443, 8883, 9443, 10250})
GREETS_IN_TLS = frozenset({465, 990, 993, 995})
"""Behind TLS the service speaks first."""

GREETERS = frozenset({21, 22, 23, 25, 110, 143, 587, 873, 2222, 3306, 3307, 4222, *range(5900, 5910)})
"""The service speaks first, and may take its time, as when it looks up the name of who comes."""

FALLBACK: tuple[Start, ...] = (
    redis.talk,
    postgresql.talk,
    mongodb.talk,
    memcached.talk,
    mqtt.talk,
    ldap.talk,
    zookeeper.talk,
    kafka.talk,
    cassandra.talk,
    smb.talk,
    rdp.talk,
)
"""When neither a greeting nor HTTP nor TLS came, in the order of the harm an open one does."""
