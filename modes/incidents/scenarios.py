"""What goes wrong, and where it should be found. Each runs in a machine with a little of everything going on.

A scenario prepares what it needs, begins at its onset and ends. What it prepared is there for the whole recording.
"""

import os
from pathlib import Path

from machine import Cgroup, Loop, device_of, go


class Scenario:
    """`resources`: one of these should be first. `kind`: what a finding of it is called, or none."""

    kind = "change"
    resources = []
    says = ""

    def __init__(self, context):
        self.context = context
        self.processes = context.processes
        self.undo = []

    def prepare(self):
        pass

    def begin(self):
        pass

    def end(self):
        self.processes.end(self.during)

    def loads(self, kind, *arguments, cgroup=None):
        """A load that is ready, and begins with the incident."""
        process = self.processes.load(kind, *arguments, cgroup=cgroup)
        self.during = [process]
        return process

    def always(self, kind, *arguments, cgroup=None):
        """A load that goes on for the whole recording."""
        process = self.processes.load(kind, *arguments, cgroup=cgroup)
        go(process)
        return process

    def cgroup(self, *controllers):
        group = Cgroup(self.name, *controllers)
        self.undo.append(group.remove)
        return group

    @property
    def name(self):
        return NAMES[type(self)]


class Simple(Scenario):
    """A load and nothing else."""

    load = ()

    def prepare(self):
        self.process = self.loads(*self.load)

    def begin(self):
        go(self.process)


class CpuSaturation(Simple):
    resources = ["cpu", "scheduler"]
    says = "twice as many tasks as CPUs compute"
    load = ("spin", 2 * os.cpu_count())


class ForkStorm(Simple):
    resources = ["scheduler"]
    says = "two processes fork as fast as they can"
    load = ("forks", 2)


class SyscallStorm(Simple):
    resources = ["syscall"]
    says = "a process calls getppid() as fast as it can"
    load = ("syscalls", 1)


class LockConvoy(Simple):
    resources = ["syscall"]
    says = "eight processes wait for each other's futex"
    load = ("convoy", 8)


class IoStorm(Scenario):
    resources = ["blockio"]
    says = "eight processes read and write all over the disk"

    def prepare(self):
        self.process = self.loads("storm", self.context.scratch, 8)

    def begin(self):
        go(self.process)


class Quota(Scenario):
    resources = ["cgroup"]
    says = "a service with a quota of 0.3 CPUs, which uses 0.1 of one, wants all of it"

    def prepare(self):
        group = self.cgroup("cpu")
        group.cpu_quota(0.3)
        self.during = [self.always("paced", 0.1, cgroup=group)]

    def begin(self):
        go(self.during[0], "full")


class SlowDisk(Scenario):
    resources = ["blockio"]
    says = "a disk that 50 blocks a second are written to takes only eight of them"

    def prepare(self):
        # The device is a file on a disk whose cgroup can be slowed down, so that its requests take longer.
        loop = Loop(self.context.scratch / "disk", 64 << 20)
        self.undo.append(loop.remove)
        self.group = self.cgroup("io")
        self.during = [self.always("writer", loop.device, 50, cgroup=self.group)]

    def begin(self):
        self.group.writes(device_of(self.context.scratch), 8)

    def end(self):
        self.group.writes(device_of(self.context.scratch), None)
        self.processes.end(self.during)


class MemoryPressure(Scenario):
    resources = ["memory"]
    says = "a service that may have 48 MB reads all over 256 MB of mapped files"

    def prepare(self):
        path = self.context.scratch / "pages"
        with open(path, "wb") as file:
            for _ in range(256):
                file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.undo.append(path.unlink)
        group = self.cgroup("memory")
        group.memory(48 << 20)
        self.during = [self.always("reader", path, cgroup=group)]

    def begin(self):
        go(self.during[0], "all")


class PacketLoss(Scenario):
    resources = ["tcp", "network"]
    says = "of the segments of 16 connections a fifth is lost"

    def prepare(self):
        self.chatter = self.always("chatter", 16, 300)

    def begin(self):
        go(self.chatter, "lose")

    def end(self):
        go(self.chatter, "keep")


class ConnectFailures(Scenario):
    resources = ["tcp"]
    says = "a server that is connected to 20 times a second is gone"

    def prepare(self):
        self.during = [self.always("connects", 20)]

    def begin(self):
        go(self.during[0], "close")


class Periodic(Scenario):
    kind = "periodic"
    resources = ["cpu", "blockio"]

    def prepare(self):
        self.period = self.context.random.choice([steps for steps in (8, 10, 12, 15, 20, 30) if steps <= self.context.seconds / 6])
        self.says = f"every {self.period} s a job computes and writes for a fourth of that"
        self.always("periodic", self.context.scratch, self.period, self.period / 4)

    def end(self):
        pass


class Leak(Scenario):
    kind = "drift"
    resources = ["memory"]
    says = "a process takes 6 % of the memory during the recording, at a steady rate"

    def prepare(self):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
        self.always("leak", 0.06 * total / self.context.seconds)

    def end(self):
        pass


class Quiet(Scenario):
    kind = None
    says = "a little of everything"

    def end(self):
        pass


class Steady(Scenario):
    kind = None
    says = "all CPUs compute, system calls and connections, all the time"

    def prepare(self):
        self.always("spin", os.cpu_count())
        self.always("chatter", 8, 300)
        self.always("writer", self.file(), 50)

    def file(self):
        path = Path(self.context.scratch / "steady")
        path.write_bytes(bytes(16 << 20))
        return path

    def end(self):
        pass


ALL = {
    "cpu-saturation": CpuSaturation,
    "quota": Quota,
    "io-storm": IoStorm,
    "slow-disk": SlowDisk,
    "memory-pressure": MemoryPressure,
    "packet-loss": PacketLoss,
    "connect-failures": ConnectFailures,
    "lock-convoy": LockConvoy,
    "fork-storm": ForkStorm,
    "syscall-storm": SyscallStorm,
    "periodic": Periodic,
    "leak": Leak,
    "quiet": Quiet,
    "steady": Steady,
}
NAMES = {scenario: name for name, scenario in ALL.items()}
