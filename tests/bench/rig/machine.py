"""The machine: commands, ports, what the wire and the disk bear, and control groups."""
import contextlib, glob, os, pathlib, socket, subprocess, sys, threading, time

MIB = 1 << 20


def run(*command, **options):
    options.setdefault('check', True)
    options.setdefault('stdin', subprocess.DEVNULL)
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)


def fail(why):
    print(f'delivery: {why}', file=sys.stderr)
    sys.exit(2)


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def wait_for(port):
    end = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port)):
            return
        if time.monotonic() > end:
            fail(f'nothing listens on port {port}')
        time.sleep(0.02)


def wire():
    """Octets that the loopback interface has carried."""
    for line in open('/proc/net/dev'):
        name, _, counts = line.partition(':')
        if name.strip() == 'lo':
            return int(counts.split()[0])


def disk(folder):
    """Octets that are taken on the disk; a file with several names counts once."""
    return int(run('du', '-s', '-B1', folder).stdout.split()[0])


class Group:
    """The control group of a side's processes, of either version; without one, its
    processes as /proc shows them."""

    def __init__(self, name):
        self.leaders = []
        base = '/sys/fs/cgroup'
        self.v2 = os.path.exists(f'{base}/cgroup.controllers')
        self.folders = [f'{base}/{name}'] if self.v2 else [f'{base}/cpuacct/{name}', f'{base}/memory/{name}']
        try:
            if self.v2:
                pathlib.Path(f'{base}/cgroup.subtree_control').write_text('+cpu +memory')
            for folder in self.folders:
                os.mkdir(folder)
            self.processor(), self.memory()
        except (OSError, KeyError):
            self.folders = []

    def start(self, *command, **options):
        def enter():
            for folder in self.folders:
                pathlib.Path(folder, 'cgroup.procs').write_text('0')
        options.setdefault('stdin', subprocess.DEVNULL)
        options.setdefault('stdout', subprocess.DEVNULL)
        options.setdefault('stderr', subprocess.DEVNULL)
        leader = subprocess.Popen([str(word) for word in command], preexec_fn=enter, **options)
        self.leaders.append(leader.pid)
        return leader

    def processes(self):
        """The leaders and all who descend from them."""
        above = {}
        for path in glob.glob('/proc/[0-9]*/stat'):
            with contextlib.suppress(OSError):
                above[int(path.split('/')[2])] = int(open(path).read().rpartition(')')[2].split()[1])
        def ours(pid):
            return pid in self.leaders or pid in above and ours(above[pid])
        return [pid for pid in above if ours(pid)]

    def processor(self):
        """Seconds used."""
        if self.folders and self.v2:
            return int(open(f'{self.folders[0]}/cpu.stat').readline().split()[1]) / 1e6
        if self.folders:
            return int(open(f'{self.folders[0]}/cpuacct.usage').read()) / 1e9
        ticks = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                ticks += sum(map(int, open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[11:15]))
        return ticks / os.sysconf('SC_CLK_TCK')

    def memory(self):
        """Octets in memory now."""
        if self.folders:
            stat = dict(line.split() for line in open(f'{self.folders[-1]}/memory.stat'))
            names = ('anon', 'shmem', 'file_mapped') if self.v2 else ('total_rss', 'total_shmem', 'total_mapped_file')
            return sum(int(stat[name]) for name in names)
        kib = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                kib += sum(int(line.split()[1]) for line in open(f'/proc/{pid}/smaps_rollup')
                           if line.startswith('Pss:'))
        return kib << 10


class Peak(threading.Thread):
    """The most memory of a group while this runs."""

    def __init__(self, group):
        super().__init__(daemon=True)
        self.group, self.most, self.over = group, 0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, self.group.memory())

    def stop(self):
        self.over.set()
        self.join()
        return max(self.most, self.group.memory())
