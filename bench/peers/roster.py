"""Who is measured beside us."""

from typing import Final

from bench.peers.beanstalkd import BEANSTALKD
from bench.peers.peer import Peer
from bench.peers.program import BULLMQ, PGBOSS, PGMQ, PROCRASTINATE
from bench.peers.rabbitmq import AMQP, HTTP, QUORUM

PEERS: Final[tuple[Peer, ...]] = (
    HTTP,
    AMQP,
    QUORUM,
    BEANSTALKD,
    PGMQ,
    PROCRASTINATE,
    PGBOSS,
    BULLMQ,
)
