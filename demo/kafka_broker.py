"""A real Kafka of one node on free loopback ports, for the demo and for tests; its packages come from `scripts/kafka`."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from server import Failed

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "kafka"
READY_WITHIN_SECONDS = 120.0
# A Java machine that starts quickly and stays small.
JAVA = ["java", "-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
CLUSTER = "c2hpcHdheS1vZi1kZW1vcw"


class Broker:
    """A broker in a process of its own, in `folder`, which vanishes with it. It makes no topic by itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packages = _packages()
        folder.mkdir(parents=True)
        port, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        (folder / "server.properties").write_text(_properties(folder, port, controller))
        self._format()
        self._log = (folder / "kafka.log").open("wb")
        self._process = subprocess.Popen(
            self._java("kafka.Kafka", "server.properties"),
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.pid = self._process.pid
        # Without its words on standard error of a broker that is not there yet: what matters comes as an error.
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def create_topic(self, name: str, partitions: int) -> None:
        """Makes a topic and waits until its partitions take messages."""
        self.admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])[name].result(30)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = self.admin.list_topics(timeout=10).topics.get(name)
            if found is not None and len(found.partitions) == partitions:
                if all(partition.leader >= 0 for partition in found.partitions.values()):
                    return
            time.sleep(0.05)
        raise Failed(f"topic {name} has no leader after 30 seconds")

    def stop(self) -> None:
        """Ends the broker, and removes what it wrote."""
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _java(self, *arguments: str) -> list[str]:
        return [*JAVA, "-cp", f"{self._packages}/libs/*", *arguments]

    def _format(self) -> None:
        command = self._java("kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER, "--config", "server.properties")
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"Kafka's storage cannot be formatted:\n{done.stderr or done.stdout}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Failed(f"Kafka ended at once:\n{self.log()[-2000:]}")
            try:
                # The list of topics comes from the controller's log: whoever answers it takes new topics, too.
                if self.admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                time.sleep(0.1)
        raise Failed(f"Kafka did not answer within two minutes:\n{self.log()[-2000:]}")

    def log(self) -> str:
        """What the broker said."""
        return (self._folder / "kafka.log").read_text(errors="replace")


class Writer:
    """Writes messages, and knows where the last one of every partition is."""

    def __init__(self, broker: Broker) -> None:
        settings = {"bootstrap.servers": broker.bootstrap, "linger.ms": 0, "enable.idempotence": True, "log_level": 0}
        self._producer = Producer(settings)
        self.ends: dict[str, dict[int, int]] = {}
        self._refused: list[str] = []

    def send(self, topic: str, key: str | None, value: str | bytes | None) -> None:
        """Hands a message to the client, which sends it at once."""
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, on_delivery=self._delivered)
                return
            except BufferError:
                self._producer.poll(0.1)

    def flush(self) -> None:
        """Waits until the broker has acknowledged everything."""
        left = self._producer.flush(60)
        if left or self._refused:
            raise Failed(f"{left} messages are not acknowledged; {'; '.join(self._refused[:3])}")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused.append(str(error))
            return
        ends = self.ends.setdefault(message.topic(), {})
        ends[message.partition()] = max(ends.get(message.partition(), 0), message.offset() + 1)


def _packages() -> Path:
    done = subprocess.run([str(SCRIPT)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{SCRIPT} ended with {done.returncode}:\n{done.stderr}")
    return Path(done.stdout.strip())


def free_ports(count: int) -> list[int]:
    """Held together while they are found, so that they differ."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _properties(folder: Path, port: int, controller: int) -> str:
    return f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=OPEN://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=OPEN://127.0.0.1:{port}
listener.security.protocol.map=OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=OPEN
controller.listener.names=CONTROLLER
log.dirs={folder.resolve()}/log
auto.create.topics.enable=false
controlled.shutdown.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=2
"""
