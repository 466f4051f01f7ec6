"""The sides: the suite's receiver, Postfix, and Postfix in front of Dovecot, each
with a private authority's certificates and mailboxes of its own."""
import os, pathlib, re, shutil, time

from rig.machine import Group, fail, free_port, run, wait_for

HOST, USERS = 'b.test', 20
# Whose mail Postfix writes. It needs no name.
OWNER = 5000
PROGRAMS = ('server-receive', 'server-handle-incoming-mail', 'server-give-recipient')


class Ours:
    name = 'ours'
    protocol = 'imdp'

    def __init__(self, place, programs, name):
        self.dir, self.group = place / 'ours', Group(name)
        self.dir.mkdir()
        (self.dir / 'tmp').mkdir()
        self.mail = self.dir / HOST / 'mail' / HOST
        self.port = free_port()
        self.setup = programs
        users = [word for n in range(USERS) for word in ('--user', f'user{n}')]
        ca = ('--ca', place / 'ca')
        run(programs / 'server-setup', self.dir / HOST, '--host', HOST, *users, *ca,
            '--listen', f'127.0.0.1:{self.port}')
        run(programs / 'server-setup', self.dir / 'a.test', '--host', 'a.test', *ca)
        # Pages of a program belong to whoever reads it first, and that is not us.
        self.programs = self.dir / 'programs'
        self.programs.mkdir()
        for program in PROGRAMS:
            shutil.copy(programs / program, self.programs)
            with open(self.programs / program) as copy:
                os.fsync(copy.fileno())
                os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        config = self.dir / HOST / 'server-receive.toml'
        most = 'max-connections-per-address = '
        config.write_text(re.sub(f'(?m)^{most}.*', f'{most}1000', config.read_text()))
        script = self.programs / 'give'
        script.write_text('#!/bin/sh\nexec "${0%/*}/server-give-recipient" "$1" -\n')
        script.chmod(0o755)
        with open(self.dir / HOST / 'server-handle-incoming-mail.toml', 'a') as routes:
            routes.write(f'\n"*@{HOST}" = {{ inbox = "mail/{HOST}/{{localpart}}/inbox" }}\n')
            for n in range(USERS):
                routes.write(f'"script{n}@{HOST}" = {{ command = ["{script}", "{self.inbox(f"script{n}")}"] }}\n')
        self.environment = dict(os.environ, EMEMO_CONFIG_DIR=str(self.dir / HOST), TMPDIR=str(self.dir / 'tmp'))
        self.proof = ('--roots', place / 'ca' / 'ca.pem', '--certificate', self.dir / 'a.test/tls/a.test.pem',
                      '--key', self.dir / 'a.test/tls/a.test.key')

    def start(self):
        log = open(self.dir / 'log', 'ab')
        self.group.start(self.programs / 'server-receive', env=self.environment, stderr=log)
        wait_for(self.port)

    def inbox(self, user):
        return self.mail / user / 'inbox'

    def add_users(self, prefix, count):
        """Mailboxes with an inbox, each as ima-mailbox makes it."""
        model = self.dir / 'model'
        if not model.exists():
            run(self.setup / 'ima-mailbox', 'create', model / 'inbox')
        for n in range(count):
            user = self.mail / f'{prefix}{n}'
            if not user.exists():
                shutil.copytree(model, user)

    def files(self, prefix, users):
        return sum('.' not in name for n in range(users)
                   for name in os.listdir(self.inbox(f'{prefix}{n}') / 'messages'))


class Postfix:
    name = 'Postfix'
    protocol = 'smtp'
    transport = ''

    def __init__(self, place, name, users):
        """`users`: pairs of what their names begin with and how many there are. The
        table of users is read once by each process, and is not changed later."""
        self.dir, self.group = place / self.name, Group(name)
        self.mail = self.dir / 'mail'
        for part in ('spool', 'data', 'etc', 'tls', 'mail'):
            (self.dir / part).mkdir(parents=True)
        os.chown(self.mail, OWNER, OWNER)
        shutil.chown(self.dir / 'data', 'postfix')
        self.port = free_port()
        # OpenSSL wants clientAuth of a client, and the suite wants serverAuth of all.
        for certificate, host in (('server', 'mx.test'), ('client', 'a.test')):
            certify(place / 'ca', self.dir / 'tls' / certificate, host)
        self.proof = ('--roots', place / 'ca/ca.pem', '--certificate', self.dir / 'tls/client.pem',
                      '--key', self.dir / 'tls/client.key', '--server-name', 'mx.test')
        self.add_users(users)
        (self.dir / 'etc/main.cf').write_text(f'''compatibility_level = 3.6
queue_directory = {self.dir}/spool
data_directory = {self.dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {self.dir}/log
maillog_file_prefixes = {self.dir}
myhostname = mx.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
alias_maps =
alias_database =
mydestination =
local_recipient_maps =
virtual_mailbox_domains = {HOST}
virtual_mailbox_base = {self.mail}
virtual_mailbox_maps = texthash:{self.dir}/users
virtual_uid_maps = static:{OWNER}
virtual_gid_maps = static:{OWNER}
message_size_limit = 0
virtual_mailbox_limit = 0
smtpd_tls_security_level = encrypt
smtpd_tls_mandatory_protocols = >=TLSv1.3
smtpd_tls_req_ccert = yes
smtpd_tls_CAfile = {place}/ca/ca.pem
smtpd_tls_cert_file = {self.dir}/tls/server.pem
smtpd_tls_key_file = {self.dir}/tls/server.key
{self.transport}''')
        # As Debian's own, without what only local users and other hosts need.
        services = [f'127.0.0.1:{self.port} inet n - n - - smtpd', 'pickup unix n - n 60 1 pickup',
                    'qmgr unix n - n 300 1 qmgr', 'tlsmgr unix - - n 1000? 1 tlsmgr',
                    'cleanup unix n - n - 0 cleanup', 'rewrite unix - - n - - trivial-rewrite',
                    'anvil unix - - n - 1 anvil', 'scache unix - - n - 1 scache',
                    'postlog unix-dgram n - n - 1 postlogd', 'flush unix n - n 1000? 0 flush',
                    'verify unix - - n - 1 verify', 'virtual unix - n n - - virtual',
                    *(f'{name} unix - - n - 0 bounce' for name in ('bounce', 'defer', 'trace')),
                    *(f'{name} unix - - n - - {name}' for name in ('lmtp', 'smtp', 'error', 'discard', 'proxymap')),
                    'retry unix - - n - - error']
        (self.dir / 'etc/master.cf').write_text('\n'.join(services) + '\n')

    def start(self):
        self.group.start('/usr/sbin/postfix', '-c', self.dir / 'etc', 'start-fg')
        wait_for(self.port)

    def add_users(self, users):
        names = [f'{prefix}{n}' for prefix, count in users for n in range(count)]
        for name in names:
            for folder in ('', 'tmp', 'new', 'cur'):
                (self.mail / name / folder).mkdir(mode=0o700)
                os.chown(self.mail / name / folder, OWNER, OWNER)
        (self.dir / 'users').write_text(''.join(f'{name}@{HOST} {name}/\n' for name in names))

    def files(self, prefix, users):
        return sum(len(os.listdir(self.mail / f'{prefix}{n}' / 'new')) for n in range(users))

    def last(self, prefix, users):
        """When the last file came into its folder, in seconds since 1970."""
        return max((entry.stat().st_ctime for n in range(users)
                    for entry in os.scandir(self.mail / f'{prefix}{n}' / 'new')), default=0)


class PostfixAndDovecot(Postfix):
    name = 'Dovecot'

    def __init__(self, place, name, users):
        self.transport = f'virtual_transport = lmtp:unix:{place}/Dovecot/lmtp\n'
        super().__init__(place, name, users)
        (self.dir / 'dovecot.conf').write_text(f'''base_dir = {self.dir}/run
state_dir = {self.dir}/state
log_path = {self.dir}/dovecot.log
protocols = lmtp
ssl = no
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={OWNER} gid={OWNER} home={self.mail}/%n allow_all_users=yes
}}
mail_location = maildir:{self.mail}/%n
first_valid_uid = 100
service lmtp {{
  unix_listener {self.dir}/lmtp {{
    mode = 0666
  }}
}}
''')

    def start(self):
        self.group.start('/usr/sbin/dovecot', '-F', '-c', self.dir / 'dovecot.conf')
        end = time.monotonic() + 20
        while not (self.dir / 'lmtp').exists():
            if time.monotonic() > end:
                fail('Dovecot does not start')
            time.sleep(0.02)
        super().start()


def certify(ca, name, host):
    """NAME.pem and NAME.key, for both ends of a connection."""
    key, request, extensions = (name.with_suffix(suffix) for suffix in ('.key', '.csr', '.ext'))
    run('openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
        '-subj', f'/CN={host}', '-keyout', key, '-out', request)
    extensions.write_text(f'subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth,clientAuth\n')
    run('openssl', 'x509', '-req', '-in', request, '-CA', ca / 'ca.pem', '-CAkey', ca / 'ca.key',
        '-set_serial', time.time_ns(), '-days', '2', '-extfile', extensions, '-out', name.with_suffix('.pem'))
