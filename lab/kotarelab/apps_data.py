# SPDX-License-Identifier: LGPL-3.0-or-later
"""Databases, caches, messages, mail, directories and the rest."""
import subprocess

PG = "/usr/lib/postgresql/15/bin/"


class Redis:
    name, needs = "Redis", ["redis-server", "redis-cli"]

    def start(self, lab):
        self.host = lab.host("data")
        lab.daemon("redis", self.host, ["redis-server", "--port", lab.ports["redis"], "--save", "",
                   "--protected-mode", "no", "--bind", "0.0.0.0", "::", "--dir", lab.folder("redis")])
        lab.wait_port(self.host, lab.ports["redis"])

    def early(self, lab):
        client = lab.clients(1)[0]
        lab.lasting(client, ["redis-cli", "-h", self.host.v4, "-p", lab.ports["redis"], "-r", "-1",
                    "-i", "1", "incr", "visits"],
                    lab.keys("Redis", "tcp", client, self.host, lab.ports["redis"], "4"))

    def drive(self, lab):
        for n, client in enumerate(lab.clients(2)):
            def ask(i, client=client):
                to = self.host.v4 if i % 2 else self.host.v6
                lab.call("redis", client, ["redis-cli", "-h", to, "-p", lab.ports["redis"], "-r", "8",
                         "-i", "0.1", "set", f"bird:{i}", "kotare " * 20],
                         lab.keys("Redis", "tcp", client, self.host, lab.ports["redis"], "46"[not i % 2]))
            lab.every(2, f"redis {n}", ask)


class Postgresql:
    name, needs = "PostgreSQL", [PG + "postgres", PG + "initdb", "psql"]

    def start(self, lab):
        self.host, port = lab.host("data"), lab.ports["postgresql"]
        data = lab.folder("pg", "postgres")
        self.host.must([PG + "initdb", "-D", data, "-A", "trust", "-U", "lab"], user="postgres", timeout=60)
        with open(data + "/pg_hba.conf", "a") as f:
            f.write("host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n")
        lab.daemon("postgresql", self.host, [PG + "postgres", "-D", data, "-p", port, "-h", "*",
                   "-k", "", "-c", "fsync=off", "-c", "ssl=off"], user="postgres")
        lab.wait_port(self.host, port)

    def psql(self, lab, to, query):
        return ["psql", "-q", "-h", to, "-p", lab.ports["postgresql"], "-U", "lab", "-d", "postgres", "-c", query]

    def drive(self, lab):
        for n, client in enumerate(lab.clients(2)):
            def ask(i, client=client):
                to = self.host.v4 if i % 2 else self.host.v6
                lab.call("psql", client, self.psql(lab, to, f"select n, 'kotare '||n from generate_series(1,{20 + i % 30}) n"),
                         lab.keys("PostgreSQL", "tcp", client, self.host, lab.ports["postgresql"], "46"[not i % 2]))
            lab.every(3, f"psql {n}", ask)


class Mysql:
    name, needs = "MySQL", ["mariadbd", "mariadb", "mariadb-install-db"]

    def start(self, lab):
        self.host = lab.host("data")
        data = lab.folder("mysql", "mysql")
        self.host.must(["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data}",
                        "--auth-root-authentication-method=normal", "--skip-test-db"], timeout=90)
        init = lab.write("mysql.init", "CREATE USER lab@'%' IDENTIFIED BY 'lab';\nGRANT ALL ON *.* TO lab@'%';\n")
        lab.daemon("mysql", self.host, ["mariadbd", "--no-defaults", "--user=mysql", f"--datadir={data}",
                   f"--port={lab.ports['mysql']}", "--bind-address=*", f"--socket={data}/s", "--skip-name-resolve",
                   f"--init-file={init}", f"--pid-file={data}/pid", "--innodb-buffer-pool-size=16M"])
        lab.wait_port(self.host, lab.ports["mysql"], 60)

    def drive(self, lab):
        client = lab.clients(1)[0]

        def ask(i):
            to = self.host.v4 if i % 2 else self.host.v6
            lab.call("mysql", client, ["mariadb", "--no-defaults", "--skip-ssl", "-h", to, "-P", lab.ports["mysql"],
                     "--protocol=tcp", "-ulab", "-plab", "-e", "select * from information_schema.collations limit 20"],
                     lab.keys("MySQL", "tcp", client, self.host, lab.ports["mysql"], "46"[not i % 2]))
        lab.every(3, "mysql", ask)


class Mqtt:
    name, needs = "MQTT", ["mosquitto", "mosquitto_pub", "mosquitto_sub"]

    def start(self, lab):
        self.host = lab.host("data")
        conf = lab.write("mosquitto.conf", f"listener {lab.ports['mqtt']}\nallow_anonymous true\nuser root\n")
        lab.daemon("mqtt", self.host, ["mosquitto", "-c", conf])
        lab.wait_port(self.host, lab.ports["mqtt"])

    def drive(self, lab):
        port = lab.ports["mqtt"]
        for n, client in enumerate(lab.clients(2)):
            lab.lasting(client, ["mosquitto_sub", "-h", self.host.v6 if n else self.host.v4, "-p", port, "-t", "birds/#", "-k", "15"],
                        lab.keys("MQTT", "tcp", client, self.host, port, "46"[n]))

            def publish(i, client=client):
                to = self.host.v4 if i % 2 else self.host.v6
                lab.call("mqtt", client, ["mosquitto_pub", "-h", to, "-p", port, "-t", "birds/seen", "-q", "1",
                         "-m", f"kotare {i}"], lab.keys("MQTT", "tcp", client, self.host, port, "46"[not i % 2]))
            lab.every(2, f"mqtt {n}", publish)


class Memcached:
    name, needs = "Memcached", ["memcached", "memccp", "memccat"]

    def start(self, lab):
        self.host = lab.host("data")
        lab.daemon("memcached", self.host, ["memcached", "-u", "root", "-p", lab.ports["memcached"], "-U", "0"])
        lab.wait_port(self.host, lab.ports["memcached"])
        self.file = lab.write("sighting.txt", "kotare on the wire\n" * 20)

    def drive(self, lab):
        client = lab.clients(1)[0]

        def ask(i):
            server = f"--servers={self.host.v4}:{lab.ports['memcached']}"
            command = ["memccat", server, "sighting.txt"] if i % 2 else ["memccp", server, self.file]
            lab.call("memcached", client, command,
                     lab.keys("Memcached", "tcp", client, self.host, lab.ports["memcached"], "4"))
        lab.every(3, "memcached", ask)


class Snmp:
    name, needs = "SNMP", ["snmpd", "snmpget"]

    def start(self, lab):
        self.host, port = lab.host("infra"), lab.ports["snmp"]
        conf = lab.write("snmpd.conf", "rocommunity public\nrocommunity6 public\nsysName lab\nsysLocation lab\nsysDescr lab\nsysContact lab\n")
        lab.daemon("snmp", self.host, ["snmpd", "-f", "-C", "-c", conf, "-Lo", "-p", lab.path("snmpd.pid"),
                   "-I", "system_mib,sysORTable", f"udp:{port},udp6:{port}"])

    def drive(self, lab):
        for n, client in enumerate(lab.clients(2)):
            def ask(i, client=client):
                to = f"udp:{self.host.v4}" if i % 2 else f"udp6:[{self.host.v6}]"
                lab.call("snmp", client, ["snmpget", "-v2c", "-c", "public", "-m", "", f"{to}:{lab.ports['snmp']}",
                         ".1.3.6.1.2.1.1.3.0", ".1.3.6.1.2.1.1.5.0"],
                         lab.keys("SNMP", "udp", client, self.host, lab.ports["snmp"], "46"[not i % 2]))
            lab.every(3, f"snmp {n}", ask)


class Ldap:
    name, needs = "LDAP", ["slapd", "ldapsearch"]

    def start(self, lab):
        self.host = lab.host("infra")
        folder = lab.folder("ldap")
        conf = lab.write("slapd.conf", f"include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
                         f"pidfile {folder}/pid\ndatabase mdb\nsuffix dc=lab,dc=test\nrootdn cn=admin,dc=lab,dc=test\nrootpw lab\ndirectory {folder}\n")
        ldif = lab.write("lab.ldif", "dn: dc=lab,dc=test\nobjectClass: dcObject\nobjectClass: organization\no: Lab\ndc: lab\n\n"
                         + "".join(f"dn: cn=bird{i},dc=lab,dc=test\nobjectClass: person\ncn: bird{i}\nsn: Kotare\n\n" for i in range(12)))
        self.host.must(["slapadd", "-f", conf, "-l", ldif])
        lab.daemon("ldap", self.host, ["slapd", "-d", "0", "-f", conf, "-h", f"ldap://:{lab.ports['ldap']}"])
        lab.wait_port(self.host, lab.ports["ldap"])

    def drive(self, lab):
        client = lab.clients(1)[0]

        def ask(i):
            to = self.host.v4 if i % 2 else f"[{self.host.v6}]"
            lab.call("ldap", client, ["ldapsearch", "-x", "-H", f"ldap://{to}:{lab.ports['ldap']}", "-b", "dc=lab,dc=test"],
                     lab.keys("LDAP", "tcp", client, self.host, lab.ports["ldap"], "46"[not i % 2]))
        lab.every(5, "ldap", ask)


class Syslog:
    """rsyslogd listens and never answers: one way."""
    name, needs = "Syslog", ["rsyslogd", "logger"]

    def start(self, lab):
        self.host = lab.host("infra")
        conf = lab.write("rsyslog.conf", f"module(load=\"imudp\")\ninput(type=\"imudp\" port=\"{lab.ports['syslog']}\")\n"
                         f"*.* {lab.path('messages')}\n")
        lab.daemon("syslog", self.host, ["rsyslogd", "-n", "-f", conf, "-i", lab.path("rsyslogd.pid")])

    def drive(self, lab):
        for n, client in enumerate(lab.clients(4)):
            def tell(i, client=client):
                to = self.host.v4 if i % 3 else self.host.v6
                lab.call("syslog", client, ["logger", "-d", "-n", to, "-P", lab.ports["syslog"], "-t", "lab",
                         f"kotare seen {i} times"],
                         lab.keys("Syslog", "udp", client, self.host, lab.ports["syslog"], "46"[not i % 3]))
            lab.every(2, f"syslog {n}", tell)


class Iperf3:
    name, needs = "Iperf3", ["iperf3"]

    def start(self, lab):
        self.host = lab.host("media")
        lab.daemon("iperf3", self.host, ["iperf3", "-s", "-p", lab.ports["iperf3"]])
        lab.wait_port(self.host, lab.ports["iperf3"])

    def drive(self, lab):
        client = lab.clients(1)[0]

        def measure(i):
            to = self.host.v4 if i % 2 else self.host.v6
            udp = ["-u", "-l", "400"] if i % 3 == 2 else []
            keys = lab.keys("Iperf3", "tcp", client, self.host, lab.ports["iperf3"], "46"[not i % 2])
            if udp:
                keys += lab.keys("Iperf3", "udp", client, self.host, lab.ports["iperf3"], "46"[not i % 2])
            lab.call("iperf3", client, ["iperf3", "-c", to, "-p", lab.ports["iperf3"], "-t", "3", "-b", "120K",
                     "-l", "1K"] + udp, keys)
        lab.every(14, "iperf3", measure)


class Smtp:
    name, needs = "SMTP", ["smtpd", "swaks"]

    def start(self, lab):
        self.host, port = lab.host("mail"), lab.ports["smtp"]
        self.host.must(["mount", "-t", "tmpfs", "-o", "mode=755", "none", "/var/spool"])
        self.host.must(["sh", "-c", "mkdir -m 711 /var/spool/smtpd && cd /var/spool/smtpd && "
                        "mkdir -m 700 queue purge incoming corrupt temporary && mkdir -m 770 offline && "
                        "chown opensmtpq queue purge incoming corrupt temporary && chgrp opensmtpq offline"])
        self.mail = lab.write("mail.txt", "Subject: kotare\n\n" + "kotare seen at the river\n" * 15)
        conf = lab.write("smtpd.conf", f"""smtp max-message-size 1M
listen on 0.0.0.0 port {port} hostname mail.lab.test
listen on :: port {port} hostname mail.lab.test
action "drop" mda "/bin/cat > /dev/null"
match from any for any action "drop"
""")
        lab.daemon("smtp", self.host, ["smtpd", "-d", "-f", conf])
        lab.wait_port(self.host, port)

    def drive(self, lab):
        client = lab.clients(1)[0]

        def send(i):
            family = "46"[i % 2]
            to = self.host.v4 if family == "4" else self.host.v6
            if family == "4":
                command = ["swaks", "--silent", "3", "--server", to, "-p", lab.ports["smtp"],
                           "--helo", f"{client.name}.lab.test", "--from", f"{client.name}@lab.test",
                           "--to", "root@mail.lab.test", "--header", "Subject: kotare",
                           "--body", "kotare seen at the river\n" * 15]
            else:
                command = ["curl", "-s", "-m", "10", f"smtp://[{to}]:{lab.ports['smtp']}/{client.name}.lab.test",
                           "--mail-from", f"{client.name}@lab.test", "--mail-rcpt", "root@mail.lab.test", "-T", self.mail]
            lab.call("smtp", client, command,
                     lab.keys("SMTP", "tcp", client, self.host, lab.ports["smtp"], family))
        lab.every(5, "smtp", send)


class Dovecot:
    name, needs = "IMAP", ["dovecot", "curl"]

    def start(self, lab):
        self.host, p = lab.host("mail"), lab.ports
        folder = lab.folder("dovecot")
        lab.folder("mailbox/new"), lab.folder("mailbox/cur"), lab.folder("mailbox/tmp")
        for i in range(4):
            lab.write(f"mailbox/new/17000000{i}.M1P1.mail", f"From: kea@lab.test\nTo: lab@lab.test\nSubject: {i}\n\n" + "kotare\n" * 60)
        subprocess.run(["chown", "-R", "mail:mail", lab.folder("mailbox")], check=True)
        conf = lab.write("dovecot.conf", f"""protocols = imap pop3
base_dir = /run/dovecot
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{lab.folder('mailbox')}
first_valid_uid = 1
passdb {{
 driver = static
 args = password=lab
}}
userdb {{
 driver = static
 args = uid=mail gid=mail home={lab.folder('mailbox')}
}}
service imap-login {{
 inet_listener imap {{
  port = {p['imap']}
 }}
}}
service pop3-login {{
 inet_listener pop3 {{
  port = {p['pop3']}
 }}
}}
""")
        lab.daemon("dovecot", self.host, ["dovecot", "-F", "-c", conf])
        lab.wait_port(self.host, p["imap"])

    def drive(self, lab):
        for app in ("IMAP", "POP3"):
            client, scheme = lab.clients(1)[0], app.lower()

            def fetch(i, client=client, scheme=scheme, app=app):
                family = "46"[i % 2]
                to = self.host.v4 if family == "4" else f"[{self.host.v6}]"
                what = "/INBOX;MAILINDEX=1" if scheme == "imap" else "/1"
                lab.call(scheme, client, ["curl", "-s", "-m", "10", "-o", "/dev/null", "-u", "lab:lab",
                         f"{scheme}://{to}:{lab.ports[scheme]}{what}"],
                         lab.keys(app, "tcp", client, self.host, lab.ports[scheme], family))
            lab.every(5, scheme, fetch)


class Irc:
    name, needs = "IRC", ["ngircd", "ii"]

    def start(self, lab):
        self.host = lab.host("mail")
        conf = lab.write("ngircd.conf", f"[Global]\nName = irc.lab.test\nInfo = lab\nAdminInfo1 = lab\nPorts = {lab.ports['irc']}\n"
                         "MotdPhrase = kotare\nListen = 0.0.0.0,::\n[Options]\nDNS = no\nIdent = no\nPAM = no\n", 0o644)
        lab.daemon("irc", self.host, ["ngircd", "-n", "-f", conf])
        lab.wait_port(self.host, lab.ports["irc"])

    def drive(self, lab):
        for n, client in enumerate(lab.clients(2)):
            to = self.host.v6 if n else self.host.v4
            folder = lab.folder(f"irc-{n}")
            lab.lasting(client, ["ii", "-s", to, "-p", lab.ports["irc"], "-n", client.name, "-i", folder],
                        lab.keys("IRC", "tcp", client, self.host, lab.ports["irc"], "46"[n]))

            def talk(i, folder=folder, to=to):
                import os
                pipe = f"{folder}/{to}/in" if i < 1 else f"{folder}/{to}/#birds/in"
                if not os.path.exists(pipe):
                    pipe = f"{folder}/{to}/in"
                fd = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
                os.write(fd, b"/j #birds\n" if not pipe.endswith("#birds/in") else f"kotare {i}\n".encode())
                os.close(fd)
            lab.every(4, f"irc {n}", talk)


class Radius:
    name, needs = "RADIUS", ["freeradius", "radclient"]

    def start(self, lab):
        self.host, port = lab.host("infra"), lab.ports["radius"]
        folder = lab.folder("radius")
        lab.write("radius/radiusd.conf", f"""prefix = /usr
logdir = {folder}
run_dir = {folder}
modconfdir = {folder}
libdir = /usr/lib/freeradius
max_requests = 1024
security {{
 allow_core_dumps = no
}}
client any {{
 ipaddr = 0.0.0.0/0
 secret = lab
}}
modules {{
 pap {{
 }}
}}
server lab {{
 listen {{
  type = auth
  ipaddr = *
  port = {port}
 }}
 authorize {{
  update control {{
   Cleartext-Password := "lab"
  }}
  pap
 }}
 authenticate {{
  Auth-Type PAP {{
   pap
  }}
 }}
}}
""")
        lab.daemon("radius", self.host, ["freeradius", "-f", "-d", folder, "-n", "radiusd", "-l", "stdout"])
        self.request = lab.write("radius.txt", 'User-Name = "kea"\nUser-Password = "lab"\n')

    def drive(self, lab):
        client = lab.clients(1)[0]
        lab.every(4, "radius", lambda i: lab.call("radius", client, ["radclient", "-f", self.request,
                  f"{self.host.v4}:{lab.ports['radius']}", "auth", "lab"],
                  lab.keys("RADIUS", "udp", client, self.host, lab.ports["radius"], "4")))


class Ping:
    name, needs = "ICMP", ["ping"]

    def start(self, lab):
        pass

    def drive(self, lab):
        for n, client in enumerate(lab.clients(2)):
            to = lab.host("web")
            family = "46"[n]
            key = ("ICMP", "icmp" if n == 0 else "icmp6", getattr(client, "v" + family), None, getattr(to, "v" + family), None)
            lab.lasting(client, ["ping", "-i", "2", "-q", getattr(to, "v" + family)], [key])


APPS = [Redis, Postgresql, Mysql, Mqtt, Memcached, Snmp, Ldap, Syslog, Iperf3, Smtp, Dovecot, Irc, Radius, Ping]
