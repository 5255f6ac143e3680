"""The rig that the benchmarks with a simulated iPhone stand on: the phone, the clients beside each other, and what the machine is."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PYMOBILEDEVICE3 = ROOT / "target/tools/venv/bin/pymobiledevice3"
SIM_CORE, CLIENT_CORE = "0", "1"


PASSWORD = "a password of the bench"
# More of a phone's description: it encrypts its backups.
ENCRYPTION = f'[encryption]\npassword = "{PASSWORD}"\nrounds = 1000\n'


@dataclass
class Cost:
    """What one client took in one run."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0  # bytes, the largest of its processes
    sim_cpu: float = 0.0
    transfer: float | None = None  # seconds from the first byte to the last, where the client tells

    def __add__(self, other):
        return Cost(
            self.wall + other.wall,
            self.cpu + other.cpu,
            max(self.memory, other.memory),
            self.sim_cpu + other.sim_cpu,
            self.transfer if other.transfer is None else other.transfer,
        )


class Phone:
    """`lifeboat sim` with one phone, on its own core."""

    def __init__(self, lifeboat, work, profile, knobs="", more=""):
        self.lifeboat, self.state = lifeboat, work / f"phone-{profile}"
        # The owner answers at once and no passcode is asked: waits of a person are not to be measured.
        spec = work / f"{profile}.toml"
        spec.write_text(f'profile = "{profile}"\nseed = 7\nios = "15.7"\n[knobs]\ndevicelink = 400\nchunk = 131072\n{knobs}{more}')
        self.process = subprocess.Popen(
            ["taskset", "-c", SIM_CORE, lifeboat, "sim", "--state", self.state, "--phone", spec],
            stdout=subprocess.PIPE,
            text=True,
        )
        told = json.loads(self.process.stdout.readline())
        self.address, self.udid = told["listening"], told["phones"][0]["udid"]

    def ctl(self, *action):
        return subprocess.run(
            [self.lifeboat, "sim", "ctl", "--state", self.state, *action], check=True, capture_output=True, text=True
        ).stdout

    def traffic(self):
        return json.loads(self.ctl("traffic"))

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Bench:
    """Everything that is measured on one phone."""

    def __init__(self, phone, programs, work):
        self.phone, self.programs, self.work = phone, programs, work
        home = work / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "USBMUXD_SOCKET_ADDRESS": phone.address,
            "RESTIC_PASSWORD": "bench",
        }

    def know_password(self):
        """From now on Lifeboat knows the backup password; returns the file that holds it."""
        secret = self.work / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        self.environment["BACKUP_PASSWORD_FILE"] = str(secret)
        return secret

    def measure(self, command, stages=False):
        """Runs a command on the client's core; fails when it does."""
        before, start = self.phone.cpu(), time.monotonic()
        process = subprocess.Popen(
            ["taskset", "-c", CLIENT_CORE, *map(str, command)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stages else open(self.work / "client.log", "wb"),
            stderr=subprocess.STDOUT if not stages else open(self.work / "client.log", "wb"),
        )
        transfer = follow_stages(process.stdout) if stages else None
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        if status != 0:
            sys.exit(f"{command} failed:\n{(self.work / 'client.log').read_text()[-4000:]}")
        return Cost(
            wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, self.phone.cpu() - before, transfer
        )

    def fresh(self, name):
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.sync()
        return folder

    def idevicebackup2(self, folder):
        return self.measure(["idevicebackup2", "backup", folder])

    def pymobiledevice3(self, folder):
        return self.measure([PYMOBILEDEVICE3, "backup2", "backup", folder])

    def restic(self, repository, *arguments):
        return self.measure(["restic", "--repo", repository, *arguments])

    def lifeboat(self, repository):
        return self.measure([self.programs["lifeboat"], "--repo", repository, "--json", "backup"], stages=True)

    def ceiling(self):
        return self.measure([self.programs["ceiling"], self.phone.address])

    def plain_write(self, size):
        folder = self.fresh("plain")
        script = (
            "import os,sys\n"
            "block=os.urandom(1<<20)\n"
            f"with open({str(folder / 'file')!r},'wb') as f:\n"
            f"  for _ in range({size}>>20): f.write(block)\n"
            "  f.flush(); os.fsync(f.fileno())\n"
        )
        cost = self.measure([sys.executable, "-c", script])
        shutil.rmtree(folder)
        return cost


def follow_stages(lines):
    """Reads a job's events; returns how long it was in the stage `transfer`."""
    begun = ended = None
    for line in lines:
        event = json.loads(line)
        if event.get("event") == "stage":
            if event["stage"] == "transfer":
                begun = time.monotonic()
            elif begun is not None and ended is None:
                ended = time.monotonic()
    return None if begun is None or ended is None else ended - begun


def number(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def machine():
    """This machine, as far as it matters for the numbers."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    disk = subprocess.run(["df", "--output=fstype", str(ROOT)], capture_output=True, text=True).stdout.split()[-1]
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GB of memory, {disk}, Linux {platform.release()}"


def first_line(*command):
    """The first line that a program prints."""
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return (run.stdout or run.stderr).strip().splitlines()[0]


def versions(programs):
    """The programs that are measured."""
    return [
        first_line(programs["lifeboat"], "--version"),
        first_line("idevicebackup2", "--version"),
        first_line(PYMOBILEDEVICE3.parent / "pip", "freeze", "--all") and "pymobiledevice3 " + pinned("pymobiledevice3"),
        first_line("restic", "version"),
    ]


def pinned(name):
    for line in (ROOT / "tools/versions.txt").read_text().splitlines():
        if line.startswith(f"{name}=="):
            return line.split("==")[1]
    return "?"


def build():
    """Builds the programs of this repository, optimised."""
    subprocess.run(
        ["cargo", "build", "--locked", "--release", "--workspace"],
        cwd=ROOT,
        check=True,
    )
    return {name: TARGET / "release" / name for name in ("lifeboat", "ceiling", "grouping", "opening")}
