"""What a scenario needs of the machine: an agent, recordings, cgroups of both versions, processes that never outlive the script."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGINS = ["blockio", "cpu", "memory", "network", "scheduler", "syscall", "tcp"]
CGROUPS = Path("/sys/fs/cgroup")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def dies_with_parent():
    """For Popen's preexec_fn: the kernel ends the child when this process ends, however it does."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Processes:
    """Processes that were started, of which none is left after `end`."""

    def __init__(self):
        self.all = []

    def start(self, *command, **more):
        process = subprocess.Popen([str(word) for word in command], preexec_fn=dies_with_parent, **more)
        self.all.append(process)
        return process

    def load(self, kind, *arguments, cgroup=None):
        """A process of load.py; it waits for a line before it begins, so that it begins at once."""
        process = self.start(sys.executable, HERE / "load.py", kind, *arguments, stdin=subprocess.PIPE)
        if cgroup:
            cgroup.add(process.pid)
        return process

    def end(self, processes=None):
        ended = list(self.all if processes is None else processes)
        for process in ended:
            process.terminate()
        for process in ended:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.all.remove(process)


def go(process, word="go"):
    """Tells a load what to do next."""
    process.stdin.write(f"{word}\n".encode())
    process.stdin.flush()


class Agent:
    """The agent of a build, with all plugins, on a port of its own."""

    def __init__(self, build):
        self.binary = build / "rezolus"
        missing = [path for path in [self.binary, *(build / f"lib{name}.so" for name in PLUGINS)] if not path.is_file()]
        if missing:
            sys.exit(f"{missing[0]} is missing: run make build, or set BUILD to a folder with a build")
        self.folder = Path(tempfile.mkdtemp(prefix="rezolus-incidents-"))
        plugins = self.folder / "plugins"
        plugins.mkdir(mode=0o755)
        for name in PLUGINS:
            shutil.copyfile(build / f"lib{name}.so", plugins / f"{name}.so")
        (self.folder / "config.toml").write_text(f'[agent]\nlisten = "127.0.0.1:0"\nplugin_dir = "{plugins}"\n')
        self.processes = Processes()

    def __enter__(self):
        log = self.folder / "log"
        with log.open("w") as stderr:
            process = self.processes.start(self.binary, self.folder / "config.toml", stderr=stderr)
        for _ in range(600):
            if found := re.search(r"serving on (http://[\d.]+:\d+) after", log.read_text()):
                self.url = found[1]
                return self
            if process.poll() is not None:
                break
            time.sleep(0.05)
        said = log.read_text()
        self.__exit__()
        sys.exit(f"the agent did not start:\n{said}")

    def __exit__(self, *_):
        self.processes.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def record(self, output, seconds, interval):
        """Starts a recording that ends by itself."""
        return self.processes.start(
            self.binary, "record", self.url, output, "-i", interval, "-d", f"{seconds}s", "--force",
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


class Cgroup:
    """A group that is there for a scenario. `names` are its controllers: in one hierarchy, or one of each's."""

    def __init__(self, name, *names):
        self.v2 = (CGROUPS / "cgroup.controllers").exists()
        if self.v2:
            for controller in names:
                (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
        folders = [CGROUPS] if self.v2 else [CGROUPS / {"io": "blkio"}.get(controller, controller) for controller in names]
        self.folders = [folder / f"rezolus-incident-{name}" for folder in folders]
        for folder in self.folders:
            folder.mkdir(exist_ok=True)

    def add(self, pid):
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def set(self, v2, v1, value):
        """Writes to the file of either version; a value per version, as a pair, where these differ."""
        name, value = (v2, value[0]) if self.v2 else (v1, value[1])
        for folder in self.folders:
            if (folder / name).exists():
                (folder / name).write_text(f"{value}\n")
                return
        sys.exit(f"{self.folders[0]}: no {name}: the kernel, or its hierarchy of cgroups, lacks the controller")

    def cpu_quota(self, cores):
        period = 100_000
        quota = int(period * cores)
        self.set("cpu.max", "cpu.cfs_quota_us", (f"{quota} {period}", quota))

    def memory(self, limit):
        self.set("memory.high", "memory.limit_in_bytes", (limit, limit))

    def writes(self, device, per_second):
        """At most so many write requests a second to a device (MAJOR:MINOR); None: as many as one likes."""
        self.set("io.max", "blkio.throttle.write_iops_device",
                 (f"{device} wiops={per_second or 'max'}", f"{device} {per_second or 0}"))

    def remove(self):
        for folder in self.folders:
            for _ in range(50):
                try:
                    folder.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)


def device_of(path):
    """MAJOR:MINOR of the whole disk that a path is on."""
    number = os.stat(path).st_dev
    folder = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    if not folder.exists():
        sys.exit(f"{path} is on no block device: choose another folder with --scratch")
    return (folder.parent if (folder / "partition").exists() else folder).joinpath("dev").read_text().strip()


class Loop:
    """A loop device on a file, past the page cache."""

    def __init__(self, path, size):
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        self.path = path
        command = ["losetup", "--find", "--show", "--direct-io=on", path]
        self.device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def remove(self):
        subprocess.run(["losetup", "--detach", self.device], check=True)
        os.unlink(self.path)
