"""What is measured. Each item is a method of that name."""
import argparse, hashlib, os, re, subprocess, time

from rig.machine import MIB, Group, Peak, disk, fail, free_port, run, wait_for, wire
from rig.sides import HOST, USERS, Ours, Postfix, PostfixAndDovecot
from rig.table import Table

SENDER = 'alice@a.test'
# Recipients of one message that Postfix takes.
POSTFIX_MOST = 1000


class Bench:
    def __init__(self, options, place):
        self.options, self.place, self.table = options, place, Table()
        name = options.inside.parent.name
        self.ours = Ours(place, options.programs, f'{name}.ours')
        users = [('user', USERS)]
        if 'recipients' in options.items:
            users.append(('crowd', POSTFIX_MOST))
        self.sides = [self.ours, Postfix(place, f'{name}.postfix', users)]
        if options.dovecot:
            self.sides.append(PostfixAndDovecot(place, f'{name}.dovecot', users))
        self.openssl = Group(f'{name}.openssl')
        self.folders = 0
        for side in self.sides:
            side.start()
            stranger = self.load(side, '--messages', 1, proof=side.proof[:2], check=False)
            if stranger.returncode == 0:
                fail(f'{side.name} takes mail of a client without a certificate')
            self.measure(side, messages=min(50, options.messages), connections=10)

    def load(self, side, *arguments, proof=None, check=True, protocol=None, host=HOST):
        command = [self.options.load, protocol or side.protocol, '--address', f'127.0.0.1:{side.port}',
                   '--host', host, *(proof or side.proof), *arguments]
        if (protocol or side.protocol) != 'handshakes':
            command += ['--from', SENDER]
        return run(*command, check=check)

    def measure(self, side, *arguments, messages=1, connections=1, recipients=1, prefix='user', users=USERS,
                size=False):
        """One run: its figures by their names, those of the load and more."""
        os.sync()
        before = side.files(prefix, users)
        taken = disk(side.mail) if size else 0
        used, carried, peak = side.group.processor(), wire(), Peak(side.group)
        output = self.load(side, '--messages', messages, '--connections', connections, '--recipients', recipients,
                           '--prefix', prefix, '--users', users, *arguments).stdout
        figures = {name: float(value) for name, value in (line.split() for line in output.splitlines())}
        expected = before + messages * recipients
        patience = time.monotonic() + 120
        while (found := side.files(prefix, users)) < expected and isinstance(side, Postfix):
            if time.monotonic() > patience:
                break
            time.sleep(0.02)
        if found != expected:
            fail(f'{side.name}: {found - before} messages came in place of {messages * recipients}')
        if isinstance(side, Postfix):
            figures['seconds'] = max(figures['seconds'], side.last(prefix, users) - figures['begin'])
        figures['rate'] = messages / figures['seconds']
        # Postfix removes its queue files, and closes.
        time.sleep(0.3)
        figures['peak'] = peak.stop() / MIB
        figures['wire'] = (wire() - carried) / MIB
        figures['cpu'] = (side.group.processor() - used) * 1000 / messages
        if size:
            os.sync()
            figures['disk'] = (disk(side.mail) - taken) / MIB
        show = ', '.join(f'{name} {value:.4g}' for name, value in figures.items() if name != 'begin')
        print(f'  {side.name}: {show}', flush=True)
        return figures

    def rounds(self, sides=None):
        """The sides in turn, so many times."""
        for _ in range(self.options.repeat):
            yield from sides or self.sides

    def messages(self, what, connections, least, *arguments, ours=(), messages=None, cpu=None, peak=None):
        """Messages a second, processor time and memory of every side."""
        messages = messages or self.options.messages
        label = f'4 KiB, {what}'
        self.table.row(label, 'msg/s', ratio=('at least', least))
        self.table.row(f'{label}: CPU for each', 'ms', 2, ratio=cpu and ('at most', cpu))
        self.table.row(f'{label}: the generator\'s', 'ms', 2)
        self.table.row(f'{label}: p50', 'ms', 2)
        self.table.row(f'{label}: p99', 'ms', 2)
        self.table.row(f'{label}: peak memory', 'MiB', 1, ours=peak and ('at most', peak))
        for side in self.rounds():
            figures = self.measure(side, *arguments, *(ours if side is self.ours else ()),
                                   messages=messages, connections=connections)
            for name, figure in (('', 'rate'), (': CPU for each', 'cpu'), (': the generator\'s', 'cpu-ms'),
                                 (': p50', 'p50-ms'), (': p99', 'p99-ms'), (': peak memory', 'peak')):
                self.table.take(label + name, side.name, figures[figure])
        return label

    def disk(self, label, threads):
        """How many files the disk itself makes durable."""
        for _ in range(self.options.repeat):
            self.folders += 1
            output = run(self.options.load, 'disk', '--threads', threads, '--seconds', self.options.seconds,
                         self.place / f'disk{self.folders}').stdout
            self.table.take(label, 'the disk', float(re.search(r'(?m)^rate (.*)$', output)[1]))

    def one(self):
        self.disk(self.messages('1 connection', 1, 2.5), 1)

    def pipelined(self):
        self.messages('1 connection, pipelined', 1, 3, ours=('--pipelining',))

    def ten(self):
        self.disk(self.messages('10 connections', 10, 5, cpu=0.2), 10)

    def fifty(self):
        self.disk(self.messages('50 connections', 50, 5, peak=64), 50)

    def each(self):
        some = max(10, self.options.messages // 4)
        self.messages('a new connection for each, 10 at once', 10, 3, '--per-connection', 1, messages=some)

    def attachment(self):
        octets = 50 * MIB
        self.table.row('50 MiB: time', 's', 2, ratio=('at most', 0.5))
        for what, most in (('wire', 50 * 1.01), ('disk', None), ('peak memory', 32)):
            self.table.row(f'50 MiB: {what}', 'MiB', 1, ours=most and ('at most', most))
        self.table.row('50 MiB to 20 users: time', 's', 2)
        self.table.row('50 MiB to 20 users: disk', 'MiB', 1, ours=('at most', 50 * 1.01))
        self.table.row('50 MiB to 20 users: peak memory', 'MiB', 1)
        # One user and 20 in turn, and nothing between them: after the 1.3 GiB that Postfix
        # writes for 20 the disk is busy for seconds.
        for side, users in ((side, users) for side in self.sides for _ in range(self.options.repeat)
                            for users in (1, USERS)):
            label = '50 MiB' if users == 1 else '50 MiB to 20 users'
            figures = self.measure(side, '--attachment', octets, recipients=users, size=True)
            for what, figure in (('time', 'seconds'), ('wire', 'wire'), ('disk', 'disk'), ('peak memory', 'peak')):
                self.table.take(f'{label}: {what}', side.name, figures[figure])
        one, many = (self.table.median(f'{label}: time', 'ours') for label in ('50 MiB', '50 MiB to 20 users'))
        self.table.derive('50 MiB: 20 users in times of one', 'times', many / one, ('at most', 1.2))

    def recipients(self):
        counts = [10, 100] if self.options.quick else [10, 100, 1000, 10000]
        self.ours.add_users('crowd', counts[-1])
        for count in counts:
            label = f'one message to {count:,} users'
            self.table.row(label, 's', 3, ours=('at most', 2) if count == 1000 else None)
            for side in self.rounds(self.sides if count <= POSTFIX_MOST else [self.ours]):
                figures = self.measure(side, prefix='crowd', users=count, recipients=count)
                self.table.take(label, side.name, figures['seconds'])
        each = [self.table.median(f'one message to {count:,} users', 'ours') / count for count in (100, counts[-1])]
        self.table.derive(f'each of {counts[-1]:,} users in times of 100', 'times', each[1] / each[0], ('at most', 1.5))

    def script(self):
        self.ours.add_users('script', USERS)
        for connections, least in ((1, 0.6), (10, 1)):
            label = f'4 KiB, a script for each; connections: {connections}'
            some = max(20, self.options.messages // 4)
            self.table.row(label, 'msg/s', ratio=('at least', least))
            for side in self.rounds():
                prefix = 'script' if side is self.ours else 'user'
                figures = self.measure(side, messages=some, connections=connections, prefix=prefix)
                self.table.take(label, side.name, figures['rate'])

    def handshakes(self):
        postfix, threads, seconds = self.sides[1], 4, self.options.seconds
        tls, ca = postfix.dir / 'tls', self.place / 'ca/ca.pem'
        ports = [free_port() for _ in range(threads)]
        pipes = []
        for port in ports:
            server = self.openssl.start('openssl', 's_server', '-accept', f'127.0.0.1:{port}', '-quiet', '-tls1_3',
                                        '-cert', tls / 'server.pem', '-key', tls / 'server.key', '-CAfile', ca,
                                        '-Verify', 2, '-verify_return_error', '-groups', 'X25519', '-alpn', 'imdp/1',
                                        '-num_tickets', 0, '-no_ticket', stdin=subprocess.PIPE)
            pipes.append(server)
            wait_for(port)
        rows = ['handshakes, X25519', 'handshakes, X25519, the same client', 'handshakes, X25519MLKEM768']
        for row in rows:
            self.table.row(row, 'a second', ratio=('at least', 1) if row == rows[0] else None)
        common = ('--connections', threads, '--seconds', seconds)
        rate = lambda output: float(re.search(r'(?m)^rate (.*)$', output)[1])
        for _ in range(self.options.repeat):
            for row, group in ((rows[0], 'x25519'), (rows[2], 'x25519mlkem768')):
                output = self.load(self.ours, *common, '--group', group, protocol='handshakes').stdout
                self.table.take(row, 'ours', rate(output))
            begin = time.monotonic()
            clients = [subprocess.Popen(['openssl', 's_time', '-connect', f'127.0.0.1:{port}', '-new', '-tls1_3',
                                         '-cert', tls / 'client.pem', '-key', tls / 'client.key', '-CAfile', ca,
                                         '-verify', '2', '-time', str(max(1, int(seconds)))],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for port in ports]
            done = 0
            for client in clients:
                output = client.communicate()[0]
                if client.returncode != 0 or not (found := re.search(r'(\d+) connections in \d+ real', output)):
                    fail(f's_time: {output}')
                done += int(found[1])
            # They end together, within milliseconds.
            self.table.take(rows[0], 'OpenSSL', done / (time.monotonic() - begin))
            addresses = [word for port in ports[1:] for word in ('--address', f'127.0.0.1:{port}')]
            far = argparse.Namespace(port=ports[0], protocol='handshakes')
            proof = ('--roots', ca, '--certificate', tls / 'client.pem', '--key', tls / 'client.key')
            output = self.load(far, *common, *addresses, proof=proof, host='mx.test').stdout
            self.table.take(rows[1], 'OpenSSL', rate(output))
            self.table.take(rows[1], 'ours', self.table.values[rows[0], 'ours'][-1])
        for server in pipes:
            server.kill()
            server.wait()

    def full(self):
        for prefix in ('full', 'none'):
            self.ours.add_users(prefix, USERS)
        text = 'All work and no play makes a dull letter.\n' * 88
        digest = hashlib.sha256(text.encode()).hexdigest()
        for n in range(USERS):
            begin = time.monotonic()
            with subprocess.Popen([self.options.programs / 'ima-mailbox', 'import', self.ours.inbox(f'full{n}')],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as filling:
                for number in range(self.options.fill):
                    filling.stdin.write(
                        f'ima: 1\nfrom: {SENDER}\nto: full{n}@{HOST}\nsubject: Letter {number}\n'
                        f'date: 2026-11-22T09:30:00Z\nid: {n}.{number}@a.test\n'
                        f'part: text/plain {len(text)} sha256:{digest}\nsize: {len(text)}\n\n{text}'.encode())
            if filling.returncode != 0:
                fail(f'ima-mailbox import: {filling.returncode}')
            print(f'  filled mailbox {n + 1} of {USERS} in {time.monotonic() - begin:.1f} s', flush=True)
        if (found := self.ours.files('full', USERS)) != USERS * self.options.fill:
            fail(f'{found} messages are in the mailboxes that were filled')
        rows = {'none': '10 connections, mailboxes as good as empty',
                'full': f'10 connections, {self.options.fill:,} in each mailbox'}
        for row in rows.values():
            self.table.row(row, 'msg/s')
        for _ in range(self.options.repeat):
            for prefix, row in rows.items():
                figures = self.measure(self.ours, messages=self.options.messages, connections=10, prefix=prefix)
                self.table.take(row, 'ours', figures['rate'])
        full, none = (self.table.median(rows[prefix], 'ours') for prefix in ('full', 'none'))
        self.table.derive('full mailboxes in times of empty ones', 'times', full / none, ('at least', 0.9))


ITEMS = ['one', 'pipelined', 'ten', 'fifty', 'each', 'attachment', 'recipients', 'script', 'handshakes', 'full']
