#!/bin/sh
# Tutela probe: looks at this host once and prints what it saw.
#
#   sh probe.sh [--quick] [--addresses A,B,...]        ssh host sh -s < probe.sh
#
# It changes nothing, leaves nothing behind, and needs no Python: POSIX sh, awk and the host's own tools.
# It never prints a secret: everything below passes the redaction in `AWK` before it leaves the host.
# Each source is printed behind a line that gives its length, so that nothing a host contains can pass for a source:
#
#   <status> <exit code> <bytes in name> <bytes in content>
#   <name: a path, or a command line as it was run>
#   <content>
#
# Statuses: ok, absent (no such file or command), denied, timeout, failed, truncated, skipped. The last line is "end".
# Everything stands in one function called on the last line: a download that was cut short runs nothing.
# No here-documents: bash keeps them in files.

# shellcheck disable=SC2016 # programs of awk stand in single quotes
tutela_probe() {

VERSION=1
QUICK=
ADDRESSES=
while [ $# -gt 0 ]; do
	case $1 in
	--quick) QUICK=1 ;;
	--addresses) ADDRESSES=${2:-}; shift ;;
	--version) echo "$VERSION"; return 0 ;;
	*) echo "probe.sh: unknown argument: $1" >&2; return 2 ;;
	esac
	shift
done

unset CDPATH ENV BASH_ENV POSIXLY_CORRECT GREP_OPTIONS
LC_ALL=C LANG=C PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_PAGER='' SYSTEMD_COLORS=0 PAGER=cat COLUMNS=300
export LC_ALL LANG PATH SYSTEMD_PAGER SYSTEMD_COLORS PAGER COLUMNS
TMPDIR=/dev/shm # where apt unpacks its lists, in unnamed files: memory
export TMPDIR
IFS=' 	
'
set -f -u
umask 077
# Without these mawk calls whatever it did a failure.
true 3>&2 || exec 2>/dev/null
{ true 3<&0; } 2>/dev/null || exec </dev/null
NL='
'
ME=
{ while read -r key _ value _; do if [ "$key" = Uid: ]; then ME=$value; break; fi; done </proc/self/status; } 2>/dev/null
[ -n "$ME" ] || ME=$(id -u)
ASKED='' MARK='' TRY=''
MAX_FILE=524288 # bytes of one file; more is "truncated"
MAX_FILES=400   # files of one directory
WALK_SECONDS=10 # for walks over the file system
WALK_ROWS=20000

# --- printing sources ------------------------------------------------------------------------------------------------

emit() { # status exit-code name content; on its way through the redaction a frame bears a MARK, and passes as it is
	printf '%s%s %d %d %d\n%s\n%s\n' "$MARK" "$1" "$2" "${#3}" "${#4}" "$3" "$4"
}

have() { command -v "$1" >/dev/null 2>&1; }

together='' # whether the limit ends a command with all that it started, so that several may share one
if have timeout; then
	limited() { exec timeout -k 1 "$@"; }
	together=1
	for f in /usr/sbin /usr/bin /sbin /bin; do # the one of busybox does not
		# shellcheck disable=SC3013 # every shell that the probe meets knows -ef
		for d in /usr/bin/busybox /bin/busybox /sbin/busybox /usr/bin/toybox; do if [ "$f/timeout" -ef "$d" ]; then together=''; fi; done
	done
elif have perl; then
	limited() { exec perl -e 'alarm shift; exec @ARGV or exit 127' "$@"; }
else
	limited() { exit 124; } # without a limit nothing is run
fi
limit() { (limited "$@"); }

capture() { # seconds command... : OUT and RC; the command reads nothing and its complaints are dropped
	OUT=$(limited "$@" 2>/dev/null </dev/null)
	RC=$?
}

emit_captured() { # name : prints OUT with the status that RC means
	case $RC in
	0) emit ok 0 "$1" "$OUT" ;;
	124 | 137 | 142) emit timeout "$RC" "$1" "$OUT" ;;
	*) emit failed "$RC" "$1" "$OUT" ;;
	esac
}

run() { # command... : one source, named by its command line; the command runs at the end of the lane
	ask strict '' "$*" "$@"
}

run_any() { # command... : like run, for commands whose exit code is part of the answer
	ask any '' "$*" "$@"
}

run_now() { # command... : like run; what it said stays in OUT and RC too
	if have "$1"; then
		capture 20 "$@"
		emit_captured "$*"
	else
		OUT='' RC=127
		emit absent 127 "$*" ''
	fi
}

run_root() { # command... : like run, for what only root may ask
	if ! have "$1"; then
		emit absent 127 "$*" ''
	elif [ "$ME" != 0 ]; then
		emit denied 0 "$*" ''
	else
		run "$@"
	fi
}

# What costs time is starting processes: for most commands `timeout` more than the command itself, and the redaction by AWK more than both.
# So a command whose output nothing else depends on is only noted, by `ask`; at the end of its lane one `timeout` and one sh run all
# that were noted. One awk, at the same time, reads what a lane prints: frames that pass, answers to redact, and files to read and redact.

ask() { # rule how name command... : notes one source of that name; OUT and RC stay as they were
	# rule: strict (only exit code 0 is ok), any (every exit code is part of the answer), lenient (the exit code means nothing)
	# how: the redaction of AWK, '' for none
	if ! have "$4"; then emit absent 127 "$3" ''; return; fi
	asking=answer
	for word in "$@"; do
		case $word in
		*"$NL"*) asking=; break ;;
		*\'*) # in single quotes: '\''
			quoted=
			while :; do
				case $word in *\'*) quoted="$quoted${word%%\'*}'\\''" word=${word#*\'} ;; *) break ;; esac
			done
			word=$quoted$word
			;;
		esac
		asking="$asking '$word'"
	done
	if [ -n "$asking" ] && [ "$((${#ASKED} + ${#asking}))" -lt 100000 ]; then
		ASKED=$ASKED$asking$NL
	else # more than one argument of a command may hold
		answer "$@"
	fi
}

answer() { # rule how name command... : asks now, for itself
	asked_rule=$1 asked_how=$2 asked_name=$3
	shift 3
	capture 20 "$@"
	print_answer "$asked_rule" "$asked_how" "$asked_name"
}

print_answer() { # rule how name : OUT and RC, for the redaction: a line of rule, how, exit code, length and name, each behind a tab; the output
	printf '\t%s\t%s\t%d\t%d\t%s\n%s\n' "$1" "$2" "$RC" "${#OUT}" "$3" "$OUT"
}

ask_all() { # the answers to all that was asked
	[ -n "$ASKED" ] || return 0
	OUT=
	[ -z "$together" ] || capture 20 sh -c 'answer() {
		rule=$1 how=$2 name=$3
		shift 3
		OUT=$("$@" 2>/dev/null </dev/null)
		printf "\t%s\t%s\t%d\t%d\t%s\n%s\n" "$rule" "$how" "$?" "${#OUT}" "$name" "$OUT"
	}
'"${ASKED}echo end"
	case $OUT in
	*"${NL}end") printf '%s\n' "${OUT%"${NL}end"}" ;;
	*) eval "$ASKED" ;; # one of them hangs: each by itself
	esac
	ASKED=
}

run_masked() { # how command... : like run; the output passes the redaction `how` of AWK
	asked_how=$1
	shift
	ask strict "$asked_how" "$*" "$@"
}

hidden() { # path : true when a directory above it may not be searched, so that "no such file" would be a guess
	h=$1
	while :; do
		case $h in */*) h=${h%/*} ;; *) return 1 ;; esac
		[ -n "$h" ] || return 1
		if [ -d "$h" ]; then
			[ ! -x "$h" ]
			return
		fi
	done
}

shadowed() { # path : true for another name of the files with password hashes; they are read by their own names only (NC1)
	case $1 in
	/etc/shadow | /etc/gshadow) return 1 ;;
	*..* | */shadow | */gshadow) ;;
	*) [ -L "$1" ] || return 1 ;;
	esac
	# shellcheck disable=SC3013 # every shell that the probe meets knows -ef
	[ "$1" -ef /etc/shadow ] || [ "$1" -ef /etc/gshadow ]
}

files() { # how path... : one source a file, named by its path and SUFFIX; the readable ones are read by the awk behind
	how=$1
	shift
	for f in "$@"; do
		if [ ! -e "$f" ]; then
			if hidden "$f"; then emit denied 0 "$f${SUFFIX-}" ''; else emit absent 0 "$f${SUFFIX-}" ''; fi
		elif [ ! -f "$f" ]; then
			emit failed 0 "$f${SUFFIX-}" 'not a regular file'
		elif [ ! -r "$f" ]; then
			emit denied 0 "$f${SUFFIX-}" ''
		elif shadowed "$f"; then
			emit failed 0 "$f${SUFFIX-}" 'another name of the password database'
		elif [ -n "$TRY" ] && ! cat "$f" >/dev/null 2>&1; then
			emit failed 0 "$f${SUFFIX-}" ''
		else
			# A name with a newline cannot be read so; the list of its directory says that there is one.
			case $f in *"$NL"*) ;; *) printf '%s\t%s\t%s\n' "$how" "${SUFFIX-}" "$f" ;; esac
		fi
	done
}

redacted() { # kinds function... : what they print, through the redaction; NAMED: paths of these kinds that jobs among it name
	names=$1
	shift
	{ NAMED=$({ MARK='	=	'; for part in "$@"; do "$part"; done; ask_all; } 3>&- | awk -v frames=1 -v max="$MAX_FILE" -v names="$names" "$AWK" 2>&1 >&3); } 3>&1
}

no_file() { # path : listed, but no file: a directory, a link to /dev/null or to nowhere; so that a name without a source is one that was not seen
	if [ ! -e "$1" ] && [ ! -L "$1" ]; then return; fi
	# A link may lead to where only root may look.
	if [ -e "$1" ] || [ "$ME" = 0 ]; then emit absent 0 "$1${SUFFIX-}" ''; else emit denied 0 "$1${SUFFIX-}" ''; fi
}

directory() { # how directory pattern : the names in it as one source "<directory>/", and its matching files
	if [ ! -e "$2" ]; then
		if hidden "$2"; then emit denied 0 "$2/" ''; else emit absent 0 "$2/" ''; fi
		return
	elif [ ! -d "$2" ]; then
		emit failed 0 "$2/" 'not a directory'
		return
	elif [ ! -r "$2" ] || [ ! -x "$2" ]; then
		emit denied 0 "$2/" ''
		return
	fi
	names='' matches='' count=0
	set +f
	for f in "$2"/* "$2"/.[!.]*; do
		[ -e "$f" ] || [ -L "$f" ] || continue
		count=$((count + 1))
		[ "$count" -le "$MAX_FILES" ] || break
		case $f in *"$NL"*) f='(a name with a newline)' ;; esac
		names=$names${f##*/}$NL
	done
	directory=$2
	# shellcheck disable=SC2086 # the pattern is to be expanded
	set -- "$1" "$2" "$2"/$3
	set +f
	if [ "$count" -gt "$MAX_FILES" ]; then emit truncated 0 "$2/" "$names"; else emit ok 0 "$2/" "${names%"$NL"}"; fi
	how=$1
	shift 2
	count=0
	for f in "$@"; do
		count=$((count + 1))
		[ "$count" -le "$MAX_FILES" ] || break
		# A name with a newline would be read as two paths, the second of the attacker's choice.
		case $f in *"$NL"*) continue ;; esac
		if [ -f "$f" ]; then
			matches=$matches$f$NL
		elif [ "$f" != "$directory/" ]; then
			no_file "$f"
		fi
	done
	set -f
	IFS=$NL
	# shellcheck disable=SC2086 # split at newlines on purpose
	[ -z "$matches" ] || files "$how" $matches
	IFS=' 	
'
}

# --- redaction -------------------------------------------------------------------------------------------------------
# One awk program for everything that is read. `how` says what kind of text it is:
#   plain    configuration without secrets of its own kind (sshd, PAM, os-release); URLs and private keys are still masked
#   secrets  configuration that may hold secrets: the value of every key that sounds like one is masked
#   included files that sshd_config includes from elsewhere: plain and secrets
#   complaint  what `sshd -t` says
#   command  lines that hold command lines (cron, units): arguments that may be secret are masked
#   shadow   field 2 becomes empty, locked or the prefix of its algorithm (NC1)
#   passwd   the same, and the personal data of field 5 is dropped (NC8)
#   pam      PAM stacks: arguments that may be secret are masked; where a second factor keeps its files stays readable
#   sudoers  command lines as in `command`; names of aliases stay whole
#   account  each file of the account database as its name demands: passwd, shadow, pam, sudoers or plain, by one awk
#   last     tables of logins: of each line the account and the time, no addresses; the newest line of an account only
#   knock    sequences become their length and kind (NC7)
#   filter   packet filter rules: ports of rules that may be a knock sequence become 0 (NC7)
#   snmp     snmpd.conf: communities but the published ones are masked
#   daemon   the command line of a server
#   tmout    lines that name TMOUT: its value, nothing else
#   servers  the same behind "args="
#   cell     sshd -T, only the keywords that Match may change
#   keys     authorized_keys: options, type and comment stay, the key itself becomes its length
#   job      command lines and scripts of jobs: an allow-list of words stays, every other word becomes *** (NC9)
#   script   the same for a file that begins with #!; of any other one at most that it is none
#   cron, crontab, anacron   tables of cron: schedule and user stay, the rest is a job
#   units    output of systemctl show: Exec and Environment are jobs
#   luks     output of cryptsetup luksDump: versions, ciphers and derivation; never a salt or a digest (NC2)
#   rclone   names and types of remotes, nothing else (NC3)
#   grub     only whether a superuser and a password are set (NC1)
#   web      directives of web servers that the checks read, nothing else
#   syslog   configuration of rsyslog and syslog-ng: comments are dropped, keys that sound like secrets, headers and accounts of databases are masked
#   logrotate  without the scripts
#   settings   of an allow-list of keys the value stays, of any other key nothing (NC3)
#   yaml     the same for YAML: the names of keys stay, values and items of the allow-list too, any other becomes "***"
#   hba      pg_hba.conf: options after the method lose their values
#   server   command lines of data services: values of an allow-list of options (NC9)
# With frames=1 it reads frames, answers, and lines of how, suffix and path, and prints framed sources; else it filters its input.
# With names it prints paths of these kinds that jobs among the sources name on standard error, one row a path: script, folder (of scripts), settings or left.

AWK='
function secret_key(k) {
	k = tolower(k)
	if (k ~ /(passwordauthentication|permitemptypasswords|password_?encryption|password_?hashers?|passwordfile|password_file|tokens?_?ttl|keyfile|key_file|authkey_?file)$/) return 0
	return k ~ /(pass(wd|word|phrase|wort)?|requirepass|masterauth|secret|token|api_?key|apikey|access_?key|private_?key|credentials?|community|psk|auth_?pass|bindpw|rootpw|pwd|encryption_?key|shared_?key|authkey|license_?key|dsn|connection_?string|sasl_.*pass.*)$/
}
function mask_urls(s,   out, q, n, scheme) {
	# scheme://user:password@host, scheme://token@host. People write "/", "@" and quotes into passwords, so all before the last "@" goes, up to
	# the end of the word or of the quotes around the URL. Kept is what cannot be a password: a path behind a plain host name, and other hosts of a list.
	out = ""
	while (index(s, "@") && index(s, "://") && match(s, /[A-Za-z][A-Za-z0-9+.-]*:\/\//)) {
		q = substr(s, RSTART - 1, RSTART > 1)
		scheme = tolower(substr(s, RSTART, RLENGTH - 3))
		out = out substr(s, 1, RSTART + RLENGTH - 1)
		s = substr(s, RSTART + RLENGTH)
		if (scheme ~ /^(file|unix|fd)$/) continue
		if (s ~ /^([A-Za-z0-9-]+\.)+([a-z][a-z]+|[0-9]+)\//) continue
		if (s ~ /^[A-Za-z0-9.-]+(:[0-9]+)?,[a-z]+:\/\//) continue
		n = (q == "\"" || q == "\047") && match(s, q "([] \t,;)}>]|$)") ? RSTART : match(s, /[ \t]|<\//) ? RSTART : length(s) + 1
		if (match(substr(s, 1, n - 1), /^.*@/)) {
			out = out "***@"
			s = substr(s, RLENGTH + 1)
		}
	}
	return out s
}
function mask_auth(s) {
	# Authorization: Bearer abc, header lines of HTTP in any spelling: all that follows
	if (match(tolower(s), /authorization["\047]?[ \t:=,]+["\047]?(basic|bearer|token|splunk|apikey|digest|negotiate)[ \t]/)) return substr(s, 1, RSTART + 12) " ***"
	return s
}
function mask_pairs(s,   m, k, rest, out, q) {
	# key = value, key: value, key value, "key": "value", key="value"; the value up to its end is masked
	out = ""
	while (match(s, /[A-Za-z_][A-Za-z0-9_.-]*["\047]?[ \t]*[=:][ \t]*/)) {
		m = substr(s, RSTART, RLENGTH)
		k = m
		sub(/["\047]?[ \t]*[=:][ \t]*$/, "", k)
		out = out substr(s, 1, RSTART - 1) m
		s = substr(s, RSTART + RLENGTH)
		if (secret_key(k) && s != "" && substr(s, 1, 2) != "//") {
			q = substr(s, 1, 1)
			if (q == "\"" || q == "\047") {
				rest = substr(s, 2)
				if (index(rest, q)) { s = substr(rest, index(rest, q) + 1); out = out q "***" q } else { s = ""; out = out "***" }
			} else if (match(s, /[ \t,;)}]/)) {
				out = out "***"
				s = substr(s, RSTART)
			} else { out = out "***"; s = "" }
		}
	}
	return out s
}
function mask_words(s,   n, w, i, out) {
	# a key and its value with only blanks between: "requirepass foobared", "user default on >secret", "community public"
	n = split(s, w, /[ \t]+/)
	if (n >= 2 && (secret_key(w[1] == "" ? w[2] : w[1]) || tolower(w[1] == "" ? w[2] : w[1]) ~ /^(http_)?headers?$/)) {
		match(s, /^[ \t]*[^ \t]+[ \t]+/)
		return (substr(s, RLENGTH + 1) == "") ? s : substr(s, 1, RLENGTH) "***"
	}
	out = s
	gsub(/[ \t][<>][^ \t]+/, " >***", out)
	gsub(/[ \t]#[0-9a-fA-F]+/, " #***", out)
	return out
}
function mask_command(s,   n, w, i, out, hide, word, k) {
	# Allow-list of words: paths, options, plain lower-case words, numbers, shell marks. Whatever else may be a secret.
	n = split(s, w, /[ \t]+/)
	out = ""
	hide = 0
	for (i = 1; i <= n; i++) {
		word = w[i]
		if (hide && word !~ /^-/ && word != "") { word = "***"; hide = 0 }
		else {
			hide = 0
			if (word ~ /^--?[A-Za-z][A-Za-z0-9_-]*=/) {
				k = word; sub(/=.*/, "", k)
				if (secret_key(substr(k, 2)) || length(word) - length(k) > 40) word = k "=***"
			} else if (word ~ /^[A-Za-z_][A-Za-z0-9_]*=/) {
				k = word; sub(/=.*/, "", k)
				if (secret_key(k)) word = k "=***"
			} else if (word ~ /^-p.+/ && s ~ /(mysql|mariadb|xtrabackup|mongo|sshpass|7z|zip)/) word = "-p***"
			else if (word ~ /^--?[A-Za-z]/) {
				k = word; sub(/^-+/, "", k)
				if (secret_key(k) || word == "-p" || word == "-a" || word == "-u" || word == "-H" || word == "-k" || word == "-K") hide = 1
			} else if (word ~ /^[A-Za-z0-9+_=.-]+$/ && length(word) >= 20 && word ~ /[0-9]/ && word ~ /[A-Za-z]/ && !(how == "sudoers" && word ~ /^[A-Z][A-Z0-9_]*$/)) word = "***"
		}
		out = out (i > 1 ? " " : "") word
	}
	return out
}
function shadow_field(v,   lock) {
	if (v == "") return "empty"
	lock = ""
	if (v ~ /^!/) { lock = "locked:"; sub(/^!+/, "", v) }
	if (v == "" || v == "*" || v == "x" || v ~ /^\*/) return "locked"
	if (match(v, /^\$[A-Za-z0-9-]+\$/)) return lock substr(v, 1, RLENGTH)
	if (v ~ /^_/) return lock "bsdi"
	return (length(v) == 13) ? lock "des" : lock "other"
}
function knock_line(s,   v, n, p, i, proto, mono, pub) {
	if (s ~ /^[ \t]*#/) return "" # an old sequence may stand in a comment
	if (tolower(s) !~ /^[ \t]*sequence[ \t]*=/) return s
	v = s; sub(/^[^=]*=[ \t]*/, "", v); gsub(/[ \t]/, "", v)
	n = split(v, p, ",")
	proto = ""; mono = 1
	for (i = 1; i <= n; i++) {
		if (index(p[i], ":")) { proto = proto (proto == "" ? "" : ",") substr(p[i], index(p[i], ":") + 1); sub(/:.*/, "", p[i]) }
		if (p[i] % 1000 != 0 || (i > 1 && p[i] + 0 <= p[i-1] + 0)) mono = 0
	}
	pub = (p[1] "," p[2] "," p[3] == "1000,2000,3000" || p[1] "," p[2] "," p[3] == "7000,8000,9000" || p[1] "," p[2] "," p[3] == "9000,8000,7000") && n == 3
	match(s, /^[^=]*=/)
	return substr(s, 1, RLENGTH) " *** length=" n " protocols=" (proto == "" ? "-" : proto) " published=" (pub ? "yes" : "no") " monotone=" (mono ? "yes" : "no")
}
function job_value(v,   at, rest, n, c, i, k) {
	# One word of a job. What cannot be a secret stays: paths, variables, hosts of targets, names of known tools.
	if (v == "" || v ~ /^\$[{]?[A-Za-z0-9_@#*?!]+[}]?$/) return v
	if (v ~ /^(\/|\.\.?\/|~\/|\$)[A-Za-z0-9_.\/%+:@*?{}~$-]*$/) {
		n = split(v, c, "/")
		rest = c[1]
		for (i = 2; i <= n; i++) rest = rest "/" ((length(c[i]) >= 16 && c[i] ~ /[0-9]/ && c[i] ~ /[a-z]/ && c[i] ~ /[A-Z]/) ? "***" : c[i])
		return rest
	}
	if (match(v, /^[A-Za-z][A-Za-z0-9+.-]*:(https?:)?\/\/(\*\*\*@)?[A-Za-z0-9._:-]*/)) {
		rest = substr(v, RLENGTH + 1)
		k = substr(v, 1, RLENGTH)
		if (rest == "" || rest == "/") return k rest
		return k ((k !~ /http/ && rest ~ /^\/[A-Za-z0-9_.\/~-]*$/ && length(rest) < 200) ? rest : "/***")
	}
	if (v ~ /^::/) return "::***"
	if (match(v, /^([a-z0-9_]+:)?([A-Za-z0-9_.-]+@)?[A-Za-z0-9_.-]+::?/)) {
		rest = substr(v, RLENGTH + 1)
		k = substr(v, 1, RLENGTH)
		if (rest == "") return v
		return k ((rest ~ /^[\/~.$][A-Za-z0-9_.\/~${}-]*$/ && length(rest) < 200) ? job_value(rest) : "***")
	}
	if (job_ssh && v ~ /^[a-z_][a-z0-9_-]*@[A-Za-z0-9.-]+$/) return v
	if (job_pool && match(v, /^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)+/) && length(v) < 100) return substr(v, 1, RLENGTH) (RLENGTH < length(v) ? "@***" : "")
	if (v in JOB_WORDS) return v
	return "***"
}
function mask_job(s,   n, w, i, out, hide, mute, word, k, rest, more) {
	# NC9: a command line keeps the words of an allow-list; quotes and brackets are dropped, since what stood in them is judged word by word.
	if (!job_ready) {
		job_ready = 1
		n = split("restic resticprofile autorestic borg borgmatic borgbackup rsync rclone duplicity duply deja-dup kopia pgbackrest barman wal-g wal-e xtrabackup mariabackup mariadb-backup innobackupex mysqldump mariadb-dump mydumper mysqlpump automysqlbackup autopostgresqlbackup pg_dump pg_dumpall pg_basebackup mongodump redis-cli zfs zpool btrfs btrbk snapper sanoid syncoid znapzend zrepl rsnapshot rdiff-backup bup proxmox-backup-client vzdump veeamconfig veeamjobman bacula-fd bareos-fd bconsole burp tarsnap tar dump lvcreate scp sftp ssh sshpass aws gsutil azcopy ossutil ossutil64 obsutil coscli mc s3cmd gzip pigz zstd xz gpg openssl age touch date tee flock nice ionice chronic systemd-cat systemd-run timeout env sudo su runuser sh bash cd run-parts test set cp mv rm mkdir find cat logger mail curl wget exec source . trap aide aideinit aide.wrapper dailyaidecheck tripwire clamscan clamdscan freshclam rkhunter chkrootkit debsums docker podman kubectl anacron logrotate python3 perl " \
			"backup create prune forget check init backup-push wal-push delete restore verify cleanup purge remove-older-than remove-all-but-n-full remove-all-inc-of-but-n-full collection-status list-current-files snapshots unlock stats sync copy move send receive recv snapshot snap bisync run all volume subvolume target send-receive localhost daily hourly weekly monthly alpha beta gamma quick update true false yes no on off local s3 drive full incr diff incremental differential pipefail errexit -eu -e -eux -euo -ex to from include exclude stanza archive archives export import", w, " ")
		for (i = 1; i <= n; i++) JOB_WORDS[w[i]] = 1
	}
	more = (s ~ /\\[ \t]*$/)
	out = ""
	while (match(s, /[A-Za-z_][A-Za-z0-9_]*=("[^"]*"|\047[^\047]*\047)/)) {
		word = substr(s, RSTART, RLENGTH)
		k = substr(word, 1, index(word, "=") - 1)
		out = out substr(s, 1, RSTART - 1) k "=" (secret_key(k) ? "***" : substr(word, index(word, "=") + 1))
		s = substr(s, RSTART + RLENGTH)
	}
	s = out s
	gsub(/=["\047]/, "=", s)
	gsub(/[0-9]?>&[0-9]/, " ", s)
	gsub(/&>/, " >", s)
	gsub(/["\047`,()\\]/, " ", s)
	gsub(/\[/, " ", s)
	gsub(/\]/, " ", s)
	gsub(/;/, " ; ", s)
	gsub(/\|/, " | ", s)
	gsub(/\|  \|/, "||", s)
	gsub(/&&/, " \\&\\& ", s)
	job_ssh = s ~ /(ssh|scp|sftp|rsync|borg|restic|btrbk|syncoid)/
	job_pool = s ~ /(zfs|syncoid|sanoid)/
	n = split(s, w, /[ \t]+/)
	out = ""
	hide = mute = 0
	for (i = 1; i <= n; i++) {
		word = w[i]
		if (word == "") continue
		if (word ~ /^(\||\|\||&&|;|&)$/) { hide = mute = 0 }
		else if (mute) {
			if (match(word, /^[0-9]?>>?/)) word = substr(word, 1, RLENGTH) job_value(substr(word, RLENGTH + 1))
			else if (w[i-1] ~ /^[0-9]?>>?$/) word = job_value(word)
			else word = "***"
		}
		else if (hide && word !~ /^-/) { word = "***"; hide = 0 }
		else {
			hide = 0
			if (word ~ /^(!|[{]|[}]|then|do|done|fi|if|else|elif|while|for|in|case|esac|exit|return|export|local|-|--|[$]|>|>>|<|[.])$/) ;
			else if (word ~ /^<</) mute = 1
			else if (match(word, /^[0-9]?(>>?|<)/)) word = substr(word, 1, RLENGTH) job_value(substr(word, RLENGTH + 1))
			else if (word == "echo" || word == "printf") mute = 1
			else if (match(word, /^-?-?[A-Za-z_][A-Za-z0-9_-]*=/)) {
				k = substr(word, 1, RLENGTH)
				rest = substr(word, RLENGTH + 1)
				word = substr(k, 1, RLENGTH - 1)
				sub(/^-+/, "", word)
				if (secret_key(word)) word = k "***"
				else if (tolower(word) ~ /host(name)?$/ && rest ~ /^[A-Za-z0-9.-]+$/) word = k rest
				else word = k job_value(rest)
			}
			else if (word ~ /^--[A-Za-z][A-Za-z0-9-]*$/) hide = secret_key(substr(word, 3))
			else if (word ~ /^-[pP]./) word = substr(word, 1, 2) "***"
			else if (word ~ /^-[A-Za-z]+$/ && length(word) <= 12) ;
			else if (word ~ /^-/) word = substr(word, 1, 2) "***"
			else if (i > 1 && w[i-1] ~ /(^|\/)tar$/ && word ~ /^[A-Za-z]+$/ && length(word) <= 8) ;
			else if (word ~ /^[A-Za-z_][A-Za-z0-9_-]*:$/) mute = secret_key(substr(word, 1, length(word) - 1))
			else word = job_value(word)
		}
		out = out (out == "" ? "" : " ") word
	}
	return out (more ? " \\" : "")
}
function cron_line(s, kind,   n, w, i, fields, out) {
	# kind: cron (with a user field), crontab (a user has no such field), anacron (period, delay, name)
	sub(/^[ \t]+/, "", s)
	if (s == "") return ""
	if (s ~ /^#/) return "#"
	if (match(s, /^[A-Za-z_][A-Za-z0-9_]*[ \t]*=[ \t]*/)) {
		out = substr(s, 1, RLENGTH)
		gsub(/[ \t]/, "", out)
		return mask_job(out substr(s, RLENGTH + 1))
	}
	if (kind == "anacron") fields = 3
	else fields = (s ~ /^@/ ? 1 : 5) + (kind == "cron")
	n = split(s, w, /[ \t]+/)
	if (n <= fields) return "***unreadable line***"
	out = ""
	for (i = 1; i <= fields; i++) {
		if (w[i] !~ /^[@*]?[A-Za-z0-9*\/,._-]*$/ || length(w[i]) > 100) return "***unreadable line***"
		out = out w[i] " "
		sub(/^[^ \t]+[ \t]+/, "", s)
	}
	if (match(s, /[^\\]%/)) s = substr(s, 1, RSTART)
	return out mask_job(s)
}
function web_line(s,   i, n, c, quote, part, out) {
	# Several directives may stand in one line: each is judged by itself. Quotes hide separators; comments are dropped.
	part = out = quote = ""
	sub(/^[ \t]+/, "", s)
	if (s ~ /^</) return web_directive(s)
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (quote != "") {
			part = part c
			if (c == "\\") part = part substr(s, ++i, 1)
			else if (c == quote) quote = ""
		} else if ((c == "$" || c == "%") && substr(s, i + 1, 1) == "{" && (n = index(substr(s, i), "}"))) {
			part = part substr(s, i, n)
			i += n - 1
		} else if (c == "#" && (i == 1 || substr(s, i - 1, 1) ~ /[ \t;{}]/)) break
		else if (c == ";" || c == "{" || c == "}") {
			out = out (out == "" ? "" : " ") web_directive(part) (c == "{" ? " " : "") c
			part = ""
		} else {
			if (c == "\"" || c == "\047") quote = c
			part = part c
		}
	}
	if (part !~ /^[ \t]*$/) out = out (out == "" ? "" : " ") web_directive(part)
	return out ~ /^[ ;]*$/ ? "" : out
}
function web_directive(s,   k, w, n) {
	# An allow-list of directives; the value of any other directive may be a secret.
	sub(/^[ \t]+/, "", s)
	sub(/[ \t]+$/, "", s)
	k = tolower(s)
	sub(/[ \t>].*/, "", k)
	n = split(s, w, /[ \t]+/)
	if (k == "return") return w[1] " " w[2]
	if (k == "define") return w[1] " " w[2] (n > 2 ? (secret_key(w[2]) ? " ***" : " " w[3]) : "")
	if (k == "require") return tolower(w[2]) ~ /^(all|ip|local|valid-user|not)$/ ? s : w[1] " " w[2] " ***"
	if (k ~ /^(server_tokens|autoindex|user|listen|server_name|ssl_protocols|ssl_certificate|ssl_prefer_server_ciphers|stub_status|include|includeoptional|root|deny|allow|index|server|http|events|stream|servertokens|serversignature|options|documentroot|sslprotocol|sslengine|sslcertificatefile|alias|scriptalias|group|loadmodule|servername|indexoptions|undefine|traceenable)$/) return s
	# The path of a hook may be its only secret: of paths only what the checks ask for stays.
	if (k ~ /^(location|<location(match)?)$/) return w[n] ~ /^"?\/?"?>?$/ || (length(w[n]) <= 40 && w[n] !~ /[0-9]/ && w[n] ~ /\.|manager|phpmyadmin|actuator|status|admin/) ? s : w[1] " ***" (k == "location" ? "" : ">")
	if (k ~ /^<\/?(directory|directorymatch|location|locationmatch|virtualhost|files|filesmatch|ifmodule|ifdefine|limit|limitexcept)$/) return s
	if (tolower(s) ~ /^(add_header|header)[ \t]+((always|set|add|append|merge|onsuccess)[ \t]+)*"?strict-transport-security"?[ \t]/) return s
	if (match(s, /^export[ \t]+APACHE_RUN_(USER|GROUP)=[a-z_-]+/)) return substr(s, 1, RLENGTH)
	return ""
}
function unit_line(s,   at, head, rest, end) {
	if (s ~ /^Environment=/) return "Environment=" mask_job(substr(s, 13))
	if (s !~ /^Exec[A-Za-z]*=[{] path=/) return s
	at = index(s, " ; argv[]=")
	rest = substr(s, at + 10)
	head = substr(s, 1, at + 9)
	if (!at || !match(rest, / ; ignore_errors=(yes|no) ; /)) return "***unreadable line***"
	end = RSTART # masking matches too
	return head mask_job(substr(rest, 1, end - 1)) substr(rest, end)
}
function keys_line(s,   n, w, head, out, name) {
	# Options keep their names; only from= and expiry-time= keep their values, since others hold commands.
	if (s ~ /^[ \t]*#/ || s ~ /^[ \t]*$/) return ""
	if (!match(s, /(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+[ \t]+AAAA[A-Za-z0-9+\/=]+/)) return "unreadable line"
	n = split(substr(s, RSTART, RLENGTH), w, /[ \t]+/)
	head = substr(s, 1, RSTART - 1)
	out = ""
	while (match(head, /[A-Za-z][A-Za-z0-9-]*(="([^"\\]|\\.)*")?/)) {
		name = substr(head, RSTART, RLENGTH)
		head = substr(head, RSTART + RLENGTH)
		if (name !~ /^([Ff][Rr][Oo][Mm]|expiry-time)=/) sub(/=.*/, "=***", name)
		out = out (out == "" ? "" : ",") name
	}
	return (out == "" ? "" : out " ") w[1] " length=" length(w[2])
}
function daemon_line(s,   n, w, i, out, before) {
	# The command line of a server: options, paths, numbers, and the values of options that are known to hold no secret.
	n = split(s, w, / /)
	out = ""
	for (i = 1; i <= n; i++) {
		before = w[i - 1]
		if (before == "-c" && s ~ /dropbear/) { out = out " ***"; break }
		if (w[i] ~ /^-/ || w[i] ~ /^\// || w[i] ~ /^[][0-9.:*]+$/ || w[i] == "") ;
		else if (before == "-o" && w[i] ~ /^[A-Za-z]+(=|$)/ && !secret_key(w[i]) && tolower(w[i]) !~ /^(setenv|forcecommand)/) ;
		else if (before ~ /^-[iIL]$/ && length(w[i]) < 16) ;
		else if (w[i] ~ /^(sshd|dropbear|knockd|sshd:|\[listener\]|of|startups|[0-9]+-[0-9]+)$/) ;
		else w[i] = "***"
		out = out (i > 1 ? " " : "") w[i]
	}
	return out
}
function last_line(s,   who) {
	# rows of lastlog, lastlog2, last and wtmpdb; of the last two only the first row of an account, which is its newest
	who = s
	sub(/[ \t].*/, "", who)
	if (s ~ /\*\*Never logged in\*\*/) return who " never"
	if (match(s, /begins .*$/)) return "begins " substr(s, RSTART + 7)
	if (who == "" || who == "Username") return ""
	if (!match(s, /[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9:]+[+-][0-9:]+/) &&
		!match(s, /[A-Z][a-z][a-z] [A-Z][a-z][a-z] [ 0-9][0-9] [0-9:]+ [+-][0-9]+ [0-9][0-9][0-9][0-9]/)) return ""
	if (seen_account[who]++) return ""
	return who " " substr(s, RSTART, RLENGTH)
}
function snmp_line(s,   n, w, i, key, out) {
	# A community is a password (NC3); only the two that everybody knows stay in clear.
	sub(/^[ \t]+/, "", s)
	if (s ~ /^#/ || s == "") return ""
	n = split(s, w, /[ \t]+/)
	key = tolower(w[1])
	if (key ~ /^r[ow]community6?$/) i = 2
	else if (key ~ /^com2sec6?$/) i = (w[2] == "-Cn") ? 6 : 4
	else return (key ~ /^(agentaddress|include(file|dir)|r[ow]user|access|view|group|syslocation|sysservices|master)$/) ? s : w[1] " ***"
	if (w[i] !~ /^"?(public|private)"?$/) w[i] = "***"
	out = w[1]
	for (i = 2; i <= n; i++) out = out " " w[i]
	return out
}
function filter_line(s,   n, part, i, out) {
	# Rules that note an address for later may spell a knock sequence (NC7): the port in them becomes 0.
	# One that lets in is no knock: it counts who uses an open port.
	if (s ~ /^-A / && s ~ /-m recent/ && s ~ /--set/ && s !~ / -j ACCEPT/) gsub(/--dports? [0-9:,]+/, "--dport 0", s)
	if (s !~ /^\{/) return s
	n = split(s, part, /"family": /)
	out = part[1]
	for (i = 2; i <= n; i++) {
		if ((part[i] ~ /"set": \{"op": "(add|update)"/ && part[i] !~ /\{"accept": null\}/) || part[i] ~ /"name": "recent"/) {
			gsub(/"field": "dport"\}\}, "right": [0-9]+/, "\"field\": \"dport\"}}, \"right\": 0", part[i])
			gsub(/\}\}, [0-9]+\]/, "}}, 0]", part[i])
		} else if (part[i] ~ /"inet_service"\]/ && part[i] ~ /"flags": \["?(timeout|dynamic)/) gsub(/", [0-9]+\]/, "\", 0]", part[i])
		out = out "\"family\": " part[i]
	}
	return out
}
function syslog_line(s) {
	if (s ~ /^[ \t]*#/) return ""
	# a line of another program, whose file is included
	if (match(s, /^[ \t]*[A-Za-z_-]+[ \t]/) && secret_key(substr(s, 1, RLENGTH - 1))) return substr(s, 1, RLENGTH) "***"
	s = mask_pairs(s)
	# Tokens of services that take logs stand in the text of a template.
	if (match(s, /string[ \t]*=[ \t]*"[^"]*"/)) s = substr(s, 1, RSTART - 1) "string=\"***\"" substr(s, RSTART + RLENGTH)
	if (match(s, /^[ \t]*\$[Tt]emplate[ \t]+[A-Za-z0-9_.-]+,/)) return substr(s, 1, RLENGTH) "\"***\""
	if (match(tolower(s), /^[ \t]*\$[a-z0-9]*(password|passwd|pwd|token|secret)[ \t]+/)) return substr(s, 1, RLENGTH) "***"
	if (match(s, /:(om)?(mysql|pgsql|libdbi|oracle|mongodb)[a-z]*:/)) s = substr(s, 1, RSTART + RLENGTH - 1) "***"
	if (match(s, /(^|[ \t])>/) && s !~ /[<>]=?[ \t]*[0-9$\047"]/) s = substr(s, 1, RSTART + RLENGTH - 1) "***"
	if (match(tolower(s), /authorization|httpheadervalue|headers?[ \t]*[(=]/)) s = substr(s, 1, RSTART + RLENGTH - 1) " ***"
	gsub(/(pass(word|phrase)?|secret|token|api[_-]?key|access[_-]?key|community|username|user)[ \t]*\([ \t]*("[^"]*"|\047[^\047]*\047|[^)"\047]*)/, "&\001", s)
	while (match(s, /\([ \t]*("[^"]*"|\047[^\047]*\047|[^)"\047]*)\001/)) s = substr(s, 1, RSTART) "***" substr(s, RSTART + RLENGTH)
	return s
}
function logrotate_line(s) {
	if (inscript) { if (s ~ /^[ \t]*endscript/) { inscript = 0; return s } return "" }
	if (s ~ /^[ \t]*(prerotate|postrotate|firstaction|lastaction|preremove)/) { inscript = 1; return s }
	return (s ~ /^[ \t]*#/) ? "" : s
}
function setting_key(k) {
	k = tolower(k)
	gsub(/-/, "_", k)
	sub(/^_+/, "", k)
	return k ~ /^(bind|bind_address|mysqlx|mysqlx_bind_address|mysqlx_port|loose_mysqlx|port|tls_port|skip_networking|(loose_)?(enable_|disable_)?skip_gr[a-z_]*|skip_name_resolve|require_secure_transport|protected_mode|unixsocket|include|include_if_exists|include_dir|aclfile|listen_addresses|hba_file|data_directory|ssl|password_encryption|bindip|bind_ip|bindipall|bind_ip_all|ipv6|authorization|auth|noauth|clusterauthmode|mode|allowconnectionswithoutcertificates|network.host|network.bind_host|network.publish_host|http.host|http.port|transport.host|transport.port|transport.bind_host|http.bind_host|server.host|server.port|xpack.security.enabled|xpack.security.http.ssl.enabled|plugins.security.disabled|plugins.security.ssl.http.enabled|plugins.security.allow_unsafe_democertificates|discovery.type|opensearch_security.enabled|listen|options|user|port_|maxconn|cachesize|etcd_listen_client_urls|etcd_listen_peer_urls|etcd_listen_metrics_urls|etcd_client_cert_auth|etcd_peer_client_cert_auth|listen_client_urls|listen_peer_urls|listen_metrics_urls|client_cert_auth|client_transport_security|peer_transport_security|anonymous_auth|anonymous|enabled|webhook|x509|readonlyport|read_only_port|address|secure_port|insecure_port|insecure_bind_address|bind_address_|authorization_mode|token_auth_file|profiling|hosts|tls|tlsverify|loopback_users|loopback_users.guest|listeners|listener.security.protocol.map|ssl.client.auth|authenticator|auth_enabled|guest|map|vers2|vers3|vers4|udp|tcp|host|kind|rpcnfsdopts|rpcmountdopts|rpcbind_options|rpcnfsdargs)$/
}
function setting_value(k, v) {
	gsub(/-/, "_", k)
	if (tolower(k) == "user" || tolower(k) == "options") return v ~ /^[="\047 \t]*[a-z_][a-z0-9_-]*["\047]?[ \t]*$/ || v ~ /^[="\047 \t]*-/ ? v : " ***"
	return v
}
function settings_line(s,   k, head) {
	# key value, key = value, -x value (memcached), [section], !include; of redis: presence of a password, kinds of ACL
	sub(/^[ \t]+/, "", s)
	if (s == "" || s ~ /^[#;]/) return ""
	if (s ~ /^\[[A-Za-z0-9_. -]+\]/ || s ~ /^!include(dir)?[ \t]/) return s
	if (s ~ /^-[lUpsuSaAY]([ \t]*[A-Za-z0-9_.:,*\/-]+)?[ \t]*$/ || s ~ /^--(listen|udp-port|port|enable-sasl|user)[=A-Za-z0-9_.:, *-]*$/) return s
	k = s
	sub(/[ \t=].*/, "", k)
	if (tolower(k) ~ /^(requirepass|masterauth|sentinel)$/) { head = s; sub(/^[^ \t]+[ \t]*/, "", head); return (tolower(k) == "sentinel" && s !~ /[Pp][Aa][Ss][Ss]/) ? "sentinel" : k ((head == "" || head == "\"\"") ? " empty" : " ***") }
	if (tolower(k) == "rename-command") { split(s, W, /[ \t]+/); return "rename-command " W[2] " ***" }
	if (tolower(k) == "user" && s ~ /[ \t](on|off|nopass|resetpass|[><#!~&+@-])/) {
		gsub(/[ \t][><#!][^ \t]*/, " >***", s)
		gsub(/[ \t][~&%][^ \t]*/, " ~***", s)
		return s
	}
	if (s ~ /^&(include|merge)[ \t]/) return "&include ***" # of rsync
	if (tolower(s) ~ /^(config backend|registry shares)[ \t]*=[ \t]*(registry|yes|true|on|1)[ \t]*$/) return s # of Samba: shares that stand in no file
	if (tolower(s) ~ /^(usershare (allow guests|max shares)[ \t]*=[ \t]*[a-z0-9]+[ \t]*$|usershare path[ \t]*=|guest_ok=[yn]$)/) return s # of Samba: shares that users make
	if (tolower(s) ~ /^(public|guestok)[ \t]*=[ \t]*(yes|no|true|false|on|off|0|1)[ \t]*$/) return s # of Samba: other names for "guest ok"
	if (tolower(s) ~ /^(loose[-_])?(innodb[-_]encrypt[-_]tables|default[-_]table[-_]encryption)([ \t]*=[ \t]*["\047]?(on|off|force|0|1)["\047]?)?[ \t]*$/) return s
	if (!setting_key(k)) return ""
	return k setting_value(k, substr(s, length(k) + 1))
}
function rabbit_line(s) {
	# Erlang terms: of the accounts that are for loopback only, whether it is nobody
	sub(/%.*$/, "", s)
	if (!match(s, /loopback_users/)) return ""
	s = substr(s, RSTART + RLENGTH)
	return "loopback_users " (s ~ /^[ \t]*,[ \t]*\[[ \t]*\]/ ? "[]" : s ~ /^[ \t]*,[ \t]*\[.*"guest"/ ? "[guest]" : "***")
}
function yaml_line(s,   head, k, v) {
	if (s ~ /"tlsverify"[ \t]*:[ \t]*true/) return "tlsverify: true" # of Docker: JSON, often in one line
	sub(/[ \t]+#.*$/, "", s)
	if (s ~ /^[ \t]*(#|$)/) return ""
	match(s, /^[ \t]*(- +)*/)
	head = substr(s, 1, RLENGTH)
	s = substr(s, RLENGTH + 1)
	if (s ~ /^-?-?[A-Za-z]/ && s ~ /^--/) {
		k = s; sub(/[ =].*/, "", k)
		return head (setting_key(k) || tolower(k) ~ /^--(client-ca-file|tls-cert-file|cert-file|trusted-ca-file|advertise-client-urls)$/ ? s : k (s == k ? "" : "=***"))
	}
	if (match(s, /^["\047]?[A-Za-z_][A-Za-z0-9_.\/-]*["\047]?:([ \t]|$)/)) {
		k = substr(s, 1, RLENGTH); v = substr(s, RLENGTH + 1)
		sub(/:[ \t]*$/, "", k)
		gsub(/["\047]/, "", k)
		if (v ~ /^[ \t]*$/) return head k ":"
		if (v ~ /^[|>][+-]?[ \t]*$/) return head k ": |"
		if (k == "transitionToAuth" && v ~ /^[ \t]*(true|false)[ \t]*$/) return head k ": " v
		return head k ": " ((setting_key(k) || k ~ /^(type|bindIp|clientCAFile|enabled)$/) ? v : "\"***\"")
	}
	if (head ~ /-/ && s ~ /^["\047]?([0-9a-fA-F.:]+|_[a-z0-9]+(:[a-z0-9]+)?_|kube-[a-z-]+|etcd|localhost)["\047]?$/) return head s
	return (s == "---" || s == "...") ? s : head (head ~ /-/ ? "\"***\"" : "#")
}
function server_line(s,   n, w, i, k, v, out, before, head) {
	# The command line of a data service, its words separated by \037: names of options stay, values only of an allow-list.
	n = split(s, w, "\037")
	head = w[1]
	while (n > 1 && w[n] == "") n--
	if (n == 2 && w[2] ~ / /) { n = split(w[2], w, " ") + 1; for (i = n; i > 1; i--) w[i] = w[i - 1] } # a title that the program wrote itself
	if (w[2] ~ /^postgres:/ || w[2] ~ /^(ray|redis-(rdb|aof))/) return ""
	if (head ~ / name=conmon /) return head # one a container: only whose it is counts
	if (head ~ / name=(java|node|(node-)?MainThread|python[0-9.]*) /) {
		k = (s ~ /org\.elasticsearch\.(bootstrap|server)/) ? "elasticsearch" : (s ~ /org\.opensearch\.bootstrap/) ? "opensearch" : (s ~ /kafka\.Kafka|org\.apache\.kafka\.server/) ? "kafka" : (s ~ /org\.apache\.zookeeper\.server/) ? "zookeeper" : (s ~ /org\.apache\.cassandra\.service/) ? "cassandra" : (s ~ /org\.apache\.hadoop/) ? "hadoop" : (s ~ /kibana/) ? "kibana" : (s ~ /opensearch-dashboards/) ? "opensearch-dashboards" : (s ~ /jupyter/) ? "jupyter" : (s ~ /\/ray\/dashboard/) ? "ray" : ""
		if (k == "") return ""
		sub(/ name=[^ ]+ /, " name=" k " ", head)
	}
	out = head
	for (i = 2; i <= n; i++) {
		before = i > 2 ? w[i - 1] : ""
		v = w[i]
		if (i == 2) { if (v !~ /^[A-Za-z0-9_.\/:-]+$/) v = "***" }
		else if (head ~ / name=memcached / && v ~ /^-[lUpsuSYAZ][A-Za-z0-9.:,*_]*$/) ;
		else if (match(v, /^-?-?[A-Za-z][A-Za-z0-9_.-]*=/)) {
			k = substr(v, 1, RLENGTH - 1)
			v = substr(v, RLENGTH + 1)
			v = k "=" (v == "" ? "empty" : server_value(k, v))
		}
		else if (v ~ /^--[A-Za-z][A-Za-z0-9_.-]*$/ || v ~ /^-[A-Za-z]$/) ;
		else if (before ~ /^--?[A-Za-z]/ && before !~ /=/) { v = (v ~ /^-/) ? "***" : server_value(before, v) }
		else if (v ~ /^(server|proxy|agent|\[(cluster|sentinel)\])$/) ;
		else if (v ~ /^[][0-9.:*a-f]+:[0-9]+$/) ;
		else if (v ~ /^\/[A-Za-z0-9_.\/-]*((jupyter|kibana|dashboards)[A-Za-z0-9_.\/-]*|\.properties)$/) ;
		else v = "***"
		out = out " " v
	}
	return out
}
function server_value(k, v) {
	sub(/^-+/, "", k)
	if (length(k) > 1) sub(/^D/, "", k) # java -Dkey=value
	v = mask_urls(v)
	if (k == "host" && v ~ /^tcp:\/\/[][A-Za-z0-9_.:-]*$/) return v # dockerd
	if (v !~ /^[][A-Za-z0-9_.:,*\/@-]+$/ || secret_key(k)) return "***"
	if (k ~ /^(auth|noauth|ssl|tls|enabled|user|options|map|guest|kind|host|mode)$/) return v ~ /^(true|false|yes|no|on|off)$/ ? v : "***"
	if (setting_key(k) || k ~ /^(H|l|U|p|s|ip|D|c|f|config|config-file|config_file|defaults-file|defaults-extra-file|NotebookApp.ip|ServerApp.ip|dashboard-host)$/) return (k == "c" && v !~ /^\// && v !~ /^(config_file|hba_file|data_directory|listen_addresses|port)=/) ? "***" : v
	if (v ~ /^(true|false|yes|no|on|off)$/) return v
	return "***"
}
function hba_line(s,   v) {
	if (s ~ /^[ \t]*#/) return s ~ /\\$/ ? "# \\" : "" # a comment may go on in the next line
	gsub(/\001/, "", s)
	gsub(/clientcert=/, "clientcert\001", s)
	gsub(/=("[^"]*"|[^ \t,]*)/, "=***", s)
	while (match(s, /\001("[^"]*"|[^ \t,]*)/)) {
		v = substr(s, RSTART + 1, RLENGTH - 1)
		s = substr(s, 1, RSTART - 1) "=" (v ~ /^(verify-full|verify-ca|no-verify|0|1)$/ ? v : "***") substr(s, RSTART + RLENGTH)
	}
	return s
}
function tmout_line(s,   out, n, w, i) {
	# file:line:text with the variable TMOUT; what else stands on the line is masked
	match(s, /^[^:]*:[0-9]+:/)
	out = substr(s, 1, RLENGTH > 0 ? RLENGTH : 0)
	s = substr(s, length(out) + 1)
	gsub(/;/, " ; ", s)
	n = split(s, w, /[ \t]+/)
	for (i = 1; i <= n; i++) {
		if (w[i] !~ /^(|export|readonly|unset|declare|typeset|-[a-z]+|;|TMOUT|TMOUT=["\047]?[0-9]*["\047]?)$/) w[i] = "***"
		out = out (i > 1 ? " " : "") w[i]
	}
	return out
}
# Paths that a job names: scripts, settings, and where it leaves something behind. Of settings and of what is left behind the kind of line decides, of scripts the place.
function note(kind, p, most) { if (!((kind, p) in noted) && ++notes[kind] <= most) { noted[kind, p]; rows[kind] = rows[kind] kind " " p "\n" } }
function note_file(kind, p) {
	sub(/^(argv\[\]=|[0-9]?[<>]+)/, "", p)
	if (index(names, kind) && p ~ /^\/[A-Za-z0-9_.\/@+-]+$/ && p !~ /^\/(usr\/s?bin|s?bin|usr\/lib|usr\/libexec|usr\/share|lib|dev|proc|sys|run|etc\/cron\.[a-z]+)\//) note(kind, p, 60)
}
function note_left(p) {
	sub(/^[^\/]*/, "", p)
	sub(/\/+$/, "", p)
	if (p ~ /^\/[A-Za-z0-9_.\/@+-]+$/ && p !~ /^\/(usr|s?bin|lib|dev|proc|sys)\//) note("left", p, 200)
}
function job_names(s,   n, w, i) {
	n = split(s, w, " ")
	if (s ~ /^EnvironmentFiles=\//) note_file("settings", substr(w[1], 18))
	for (i = 1; i < n; i++) if (w[i] == "." || w[i] == "source") note_file("settings", w[i + 1])
	for (i = 1; i < n; i++) if (w[i] ~ /(^|\/)run-parts$/) {
		while (++i < n && w[i] !~ /^\//);
		if (index(names, "script") && w[i] ~ /^\/[A-Za-z0-9_.\/@+-]+$/ && w[i] !~ /^\/etc\/cron\.(hourly|daily|weekly|monthly)\/?$/) note("folder", w[i], 20)
	}
	if (s ~ /^(Exec|[@*0-9]|\t? *[a-z])/) for (i = 1; i <= n; i++) note_file("script", w[i])
	if (s ~ /(^|[ \/=])(restic|autorestic|borg|borgmatic|rsync|rclone|duplicity|duply|kopia|pgbackrest|xtrabackup|mariabackup|mariadb-backup|mysqldump|mariadb-dump|mydumper|pg_dump|pg_dumpall|pg_basebackup|mongodump|zfs|btrfs|tar|scp|aws|s3cmd|gsutil|ossutil|aide|clamscan|clamdscan|tripwire|touch|date|cp)( |$)|^[A-Za-z_]+=\//)
		for (i = 1; i <= n; i++) if (w[i] !~ /^[A-Za-z0-9@_.-]+:/) note_left(w[i])
}
function redact(s,   f, n, i, k) {
	gsub(/\000/, "", s)
	if (inkey) { if (s ~ /-----END/) inkey = 0; return "***" }
	if (s ~ /-----BEGIN [A-Z0-9 ]*PRIVATE KEY/) { inkey = 1; return "***private key***" }
	if (how == "shadow") {
		n = split(s, f, ":")
		if (n < 2) return "***malformed line***"
		s = f[1] ":" shadow_field(f[2])
		for (i = 3; i <= n; i++) s = s ":" f[i]
		return s
	}
	if (how == "passwd") {
		n = split(s, f, ":")
		if (n < 2) return (s ~ /^[+-]/ || length(s) < 2) ? s : "***malformed line***"
		if (n < 7) {
			s = f[1] ":" (f[2] == "x" ? "x" : shadow_field(f[2]))
			for (i = 3; i <= n; i++) s = s ":" (f[i] ~ /^[0-9]*$/ ? f[i] : "***")
			return s
		}
		s = f[1] ":" (f[2] == "x" ? "x" : shadow_field(f[2])) ":" f[3] ":" f[4] "::" f[6] ":" f[7]
		for (i = 8; i <= n; i++) s = s ":" f[i]
		return s
	}
	if (how == "keys") return keys_line(s)
	if (how == "knock") return mask_urls(knock_line(s))
	if (how == "filter") return filter_line(s)
	if (how == "snmp") return snmp_line(s)
	if (how == "rabbit") return rabbit_line(s)
	if (how == "switches") return tolower(s) ~ /^([a-z_]+=(yes|no|true|false|0|1)|(tls[ \t]+)?[0-3])[ \t\r]*$/ ? s : ""
	if (how == "daemon") return daemon_line(s)
	if (how == "servers") return match(s, / args=/) ? substr(s, 1, RSTART + 5) daemon_line(substr(s, RSTART + 6)) : s
	if (how == "cell") return (s ~ /^(port|usepam|permitrootlogin|passwordauthentication|kbdinteractiveauthentication|pubkeyauthentication|authenticationmethods|permitemptypasswords|allowusers|denyusers|allowgroups|denygroups|maxauthtries|x11forwarding|allowtcpforwarding|disableforwarding|authorizedkeysfile|authorizedkeyscommand|pubkeyauthoptions|gssapiauthentication|hostbasedauthentication) /) ? s : ""
	if (how == "last") return last_line(s)
	if (how == "pam") {
		if (s ~ /pam_google_authenticator/) return s
		return mask_urls(s ~ /pam_exec/ ? mask_command(s) : mask_pairs(s))
	}
	if (how == "sudoers") return mask_command(mask_urls(s))
	s = mask_urls(s)
	# sshd quotes what it does not know; of a file that is none of its own that may be the hash of a password.
	if (how == "complaint") {
		gsub(/"[^"]*[^"A-Za-z0-9_-][^"]*"/, "\"***\"", s)
		return match(s, /: Bad configuration option: [A-Za-z0-9_-]*/) && substr(s, RSTART + RLENGTH) !~ /^\r?$/ ? substr(s, 1, RSTART + RLENGTH - 1) "***" : s
	}
	if (how ~ /^(plain|included|secrets|command)$/) s = mask_auth(s)
	if (how ~ /^(plain|included)$/ && match(tolower(s), /^[ \t]*(setenv|forcecommand|authorizedkeyscommand|authorizedprincipalscommand)[ \t=]+/)) {
		# What sshd runs or sets: the program stays, not what it is told; of the environment nothing.
		k = substr(s, 1, RLENGTH)
		s = substr(s, RLENGTH + 1)
		return k ((k !~ /[Ee][Nn][Vv]/ && match(s, /^"?[A-Za-z0-9_.\/-]+"?/)) ? substr(s, 1, RLENGTH) (RLENGTH < length(s) ? " ***" : "") : "***")
	}
	if (how == "tmout") return tmout_line(s)
	if (how == "secrets" || how == "included") return mask_words(mask_pairs(s))
	if (how == "command") return mask_command(s)
	if ((how == "job" || how == "script") && s ~ /^[ \t]*#/) return (s ~ /^#!\//) ? "#!" job_value(substr(s, 3, index(s " ", " ") - 3)) (match(s, / -[a-z]+$/) ? substr(s, RSTART) : "") : "#"
	if (how == "job" || how == "script") return mask_job(s)
	if (how == "cron" || how == "crontab" || how == "anacron") return cron_line(s, how)
	if (how == "units") return unit_line(s)
	if (how == "luks") return (s ~ /^[ \t]*(Version|Cipher|Cipher name|Cipher mode|Hash spec|MK bits|Key|PBKDF|Hash|Iterations|Time cost|Memory|Threads|Cipher key|Priority|sector|Flags|cipher|[ 0-9]+: (luks2|crypt|[a-z0-9-]+)|Keyslots|Data segments|Tokens|Digests|Key Slot [0-9]+)[: ]/ && s !~ /([0-9a-f][0-9a-f] ){8}/) ? s : ""
	if (how == "rclone") return (s ~ /^\[[A-Za-z0-9_. -]+\]$/ || s ~ /^type[ \t]*=[ \t]*[a-z0-9]+$/) ? s : ""
	if (how == "grub") {
		if (s ~ /^[ \t]*set superusers=/) return "set superusers=***"
		if (s ~ /^[ \t]*password(_pbkdf2)?[ \t]/) return s ~ /\$\{?GRUB2_PASSWORD/ ? "password from user.cfg" : "password ***"
		if (s ~ /^GRUB2_PASSWORD=/) return "GRUB2_PASSWORD=***"
		if (s ~ /^[ \t]*menuentry / ) return "menuentry" (s ~ /--unrestricted/ ? " --unrestricted" : "")
		return ""
	}
	if (how == "web") return web_line(s)
	if (how == "syslog") return syslog_line(s)
	if (how == "logrotate") return logrotate_line(s)
	if (how == "settings") return settings_line(s)
	if (how == "yaml") return yaml_line(s)
	if (how == "hba") return hba_line(s)
	if (how == "server") return server_line(s)
	return s
}
function pass(head,   f, line, left) {
	# A frame: its header, then name and content, whose lines are counted by length, since they may hold anything.
	print head
	split(head, f, " ")
	for (left = f[3] + f[4] + 2; left > 0 && (getline line) > 0; left -= length(line) + 1) print line
}
function answer(head,   f, line, masked, left) {
	# A command that was asked: its header, then its output, whose lines are counted by length, since it may hold anything.
	split(head, f, "\t")
	how = f[3]; rc = f[4]; left = f[5] + 1
	name = substr(head, length(f[2] f[3] f[4] f[5]) + 6)
	status = (rc == 124 || rc == 137 || rc == 142) ? "timeout" : (rc == 0 || f[2] != "strict") ? "ok" : "failed"
	if (f[2] == "lenient" && status == "ok") rc = 0
	body = ""; inkey = inscript = 0
	split("", seen_account)
	if (how == "") printf "%s %d %d %d\n%s\n", status, rc, length(name), f[5], name
	for (; left > 0 && (getline line) > 0; left -= length(line) + 1) {
		if (how == "") { print line; continue }
		masked = redact(line)
		if (names != "" && how == "units") job_names(masked)
		if (how != "last" || masked != "") body = body masked "\n"
	}
	if (how == "") return
	sub(/\n$/, "", body)
	printf "%s %d %d %d\n", status, rc, length(name), length(body)
	print name
	print body
}
BEGIN {
	while (frames && (getline path) > 0) {
		if (substr(path, 1, 2) == "\t=") { pass(substr(path, 4)); continue }
		if (substr(path, 1, 1) == "\t") { answer(path); continue }
		how = substr(path, 1, index(path, "\t") - 1); path = substr(path, length(how) + 2)
		suffix = substr(path, 1, index(path, "\t") - 1); path = substr(path, length(suffix) + 2)
		if (how == "account") how = (path ~ /^\/etc\/passwd/) ? "passwd" : (path ~ /^\/etc\/g?shadow/) ? "shadow" : (path ~ /\/pam\.(d|conf)/) ? "pam" : (path ~ /^\/etc\/(sudoers|doas)/) ? "sudoers" : "plain"
		# Whoever asked, and with whatever rule: neither hashes nor names of persons leave (NC1, NC8). A file that two parts of a lane ask for is one source.
		if (path ~ /^\/etc\/g?shadow-?$/) how = "shadow"
		if (path ~ /^\/etc\/passwd-?$/) how = "passwd"
		if ((path suffix) in printed) continue
		printed[path suffix]
		body = ""; status = "ok"; inkey = inscript = 0; nth = 0
		of_job = names != "" && (how ~ /^(cron|crontab|anacron|script)$/ || suffix == " (job)")
		while ((r = (getline line < path)) > 0) {
			if (++nth == 1 && how == "script" && line !~ /^#!/) { status = suffix == "" ? "failed" : ""; body = "not a script\n"; break }
			# The patterns below take time with the square of the length: no honest line is that long.
			if (length(line) > 16384) { line = substr(line, 1, 16384); status = "truncated" }
			masked = redact(line)
			if (of_job) job_names(masked)
			body = body masked "\n"
			if (length(body) > max) { status = "truncated"; break }
		}
		if (r < 0) status = "failed"
		close(path)
		if (status == "") continue
		sub(/\n$/, "", body)
		printf "%s 0 %d %d\n", status, length(path suffix), length(body)
		print path suffix
		print body
	}
	printf "%s%s%s%s", rows["script"], rows["folder"], rows["settings"], rows["left"] >"/dev/stderr"
	if (frames) exit
}
{ line = redact($0); if ((how != "last" && how != "server") || line != "") print line }
'

# --- what is looked at -----------------------------------------------------------------------------------------------
# Lanes (the last lines) run side by side, each passing on what the lanes before it say, then its own; the quickest comes first.

overview() { # what several parts need to know
	# PROCESSES: number, name. TERMINALS, of those that have one: euid, terminal, start in ticks since boot, name. SERVERS that guard, but those in containers: number, name, parent, start.
	# HOMES of accounts with a shell. LOGINS, of those who may log in: whether the home comes over the network, account, home. MOUNTS of file systems that may hold fscrypt's directory.
	# cat reads what /proc has, since a process that ends meanwhile would end mawk too; awk takes it apart, since the shell reads a file byte by byte.
	set +f
	OUT=$(cat /proc/[0-9]*/stat 2>/dev/null | awk '
		{
			# A name may hold anything, a newline too; what follows it is numbers.
			if (rest != "") $0 = rest "\n" $0
			rest = ""
			n = split($0, part, /\) /)
			if (split(part[n], f, " ") < 20 && $0 ~ /^[0-9]+ \(/ && length($0) < 4000) { rest = $0; next }
			open = index($0, "(")
			pid = substr($0, 1, open - 2)
			if (n < 2 || pid !~ /^[0-9]+$/) next
			name = substr($0, open + 1, length($0) - length(part[n]) - 2 - open)
			gsub(/[^A-Za-z0-9_.:@+-]/, "?", name)
			print pid " " name
			if (name ~ /^(sshd|dropbear|knockd|sshguard|fail2ban-server|crowdsec|denyhosts\.py)$/) servers = servers pid " " name " " f[2] " " f[20] "\n"
			if (f[5] + 0 == 0) next
			major = int(f[5] / 256) % 4096; minor = f[5] % 256
			tty = major >= 136 && major < 144 ? "pts/" ((major - 136) * 256 + minor) : major == 4 ? (minor < 64 ? "tty" minor : "ttyS" (minor - 64)) : major == 204 ? "ttyAMA" minor : major == 229 ? "hvc" minor : major "/" minor
			terminals = terminals pid " " tty " " f[20] " " name "\n"
		}
		END {
			while ((getline line < "/proc/mounts") > 0) {
				split(line, f, " ")
				if (f[3] ~ /^(nfs.*|cifs|smb.*|autofs|afs|ceph|glusterfs|lustre|9p|fuse\..*)$/) remote[f[2]]
				if (f[3] ~ /^(ext4|f2fs)$/ && !index(f[2], "\"")) mounts = mounts f[2] "\n"
			}
			while ((getline line < "/etc/passwd") > 0) {
				split(line, f, ":")
				if (f[6] !~ /^\/./ || index(f[1] f[6], "\"")) continue
				if (f[7] !~ /(nologin|false|sync)$/ && !seen[f[6]]++) homes = homes f[6] "\n"
				if (f[7] ~ /\/(nologin|false|sync|shutdown|halt)$/ || (f[6] f[1]) ~ /[*?[ \t]/ || ++accounts > 200) continue
				away = "here"
				for (at in remote) if (index(f[6] "/", at "/") == 1) away = "away"
				logins = logins away " " f[1] " " f[6] "\n"
			}
			printf "\"%s\"%s\"%s\"%s\"%s", terminals, servers, homes, logins, mounts
		}') || return
	set -f
	IFS='"'
	# shellcheck disable=SC2086 # split at the quotes
	set -- $OUT
	IFS=' 	
'
	PROCESSES=${1-} HOMES=${4-} LOGINS=${5-} MOUNTS=${6-} TERMINALS='' SERVERS=''
	IFS=$NL
	for row in ${2-}; do
		process_of "${row%% *}" && TERMINALS="$TERMINALS${TERMINALS:+$NL}$uid ${row#* }"
	done
	for row in ${3-}; do
		# A process of a container has a number of its own in there.
		process_of "${row%% *}" && [ -z "$inside" ] && SERVERS=$SERVERS$row$NL
	done
	IFS=' 	
'
}

process_of() { # number : uid, and whether it lives inside a container; false once it has ended
	uid='' inside=''
	{
		while IFS=' 	' read -r key _ value; do
			case $key in
			Uid:) uid=${value%%[ 	]*} ;;
			NSpid:) case $value in ?*) inside=1 ;; esac; break ;;
			esac
		done <"/proc/$1/status"
	} 2>/dev/null
	[ -n "$uid" ]
}

identity() {
	# When something began that the kernel counts from its own start is told by the difference of two clocks, so both are read within one second.
	for _ in 1 2 3 4 5; do
		up='' later=''
		{ read -r up </proc/uptime; } 2>/dev/null
		now=$(date '+%s %z')
		{ read -r later </proc/uptime; } 2>/dev/null
		[ "${up%%.*}" != "${later%%.*}" ] || break
		later=
	done
	emit ok 0 meta "version=$VERSION${NL}uid=$ME${NL}quick=${QUICK:-0}${NL}started=${now% *}${NL}offset=${now#* }"
	if [ -n "$later" ]; then emit ok 0 /proc/uptime "$later"; else emit failed 1 /proc/uptime ''; fi
	run uname -srm
	run hostname
	files plain /etc/os-release /usr/lib/os-release /etc/hostname /etc/machine-id /proc/sys/kernel/random/boot_id /proc/cmdline
	run pro status --format json
	run ip -o addr
	run_any systemd-detect-virt
}

accounts() {
	wanted=''
	for d in /etc/pam.d /usr/lib/pam.d /etc/sudoers.d /etc/security/pwquality.conf.d; do
		directory plain "$d" '' # the names
		count=0
		set +f
		for f in "$d"/*; do
			case $f in *"$NL"*) continue ;; esac
			if [ ! -f "$f" ]; then no_file "$f"; continue; fi
			[ "$count" -lt "$MAX_FILES" ] || continue
			count=$((count + 1))
			wanted=$wanted$f$NL
		done
		set -f
	done
	[ -d /etc/pam.d ] || wanted=$wanted/etc/pam.conf$NL
	IFS=$NL
	# shellcheck disable=SC2086 # one path a line
	files account /etc/passwd /etc/shadow /etc/gshadow /etc/group /etc/login.defs /etc/shells /etc/nsswitch.conf /etc/passwdqc.conf \
		/etc/security/pwquality.conf /etc/security/faillock.conf /etc/security/pwhistory.conf /etc/sudoers /etc/doas.conf $wanted
	IFS=' 	
'
	accounts_last_logins
}

sessions() { # ages of sessions, no addresses (a session of root that nobody ends is a door left open)
	if have loginctl && [ -d /run/systemd/sessions ]; then
		ids=
		set +f
		for f in /run/systemd/sessions/*; do
			f=${f##*/}
			case $f in *[!A-Za-z0-9]*) ;; *) ids="$ids $f" ;; esac
		done
		set -f
		OUT='' RC=0
		[ -n "$ids" ] || capture 10 loginctl --no-legend list-sessions # whether there is somebody to ask
		# shellcheck disable=SC2086 # one word a session
		if [ -n "$ids" ]; then
			ask strict '' 'loginctl show-session' loginctl show-session -p Id -p User -p Name -p TimestampMonotonic -p TTY -p Remote -p Service -p Class -p State $ids
		else emit_captured 'loginctl show-session'; fi
	else
		emit absent 127 'loginctl show-session' ''
	fi
	if [ -n "$PROCESSES" ]; then emit ok 0 '/proc/[0-9]*/stat (with a terminal)' "$TERMINALS"; else emit failed 1 '/proc/[0-9]*/stat (with a terminal)' ''; fi
	set +f
	ask lenient tmout 'grep -sHn TMOUT /etc/profile /etc/bash.bashrc /etc/bashrc /etc/profile.d/*.sh' grep -sHn TMOUT /etc/profile /etc/bash.bashrc /etc/bashrc /etc/profile.d/*.sh
	set -f
}

key_files() { # mode, owner, group, birth and time of change of the files that decide who is root, and of home directories
	set +f
	IFS=$NL
	# shellcheck disable=SC2086 # one home a line
	ask lenient '' "stat -c '%f %u %g %W %Y %n' (key files)" stat -c '%f %u %g %W %Y %n' $HOMES /etc /etc/passwd /etc/passwd- /etc/shadow /etc/shadow- /etc/group /etc/group- \
		/etc/gshadow /etc/gshadow- /etc/sudoers /etc/sudoers.d /etc/sudoers.d/* /etc/doas.conf /etc/crontab /etc/cron.d /etc/cron.d/* \
		/etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /etc/cron.allow /etc/cron.deny /etc/at.allow /etc/at.deny \
		/var/spool/cron /var/spool/cron/crontabs /etc/ssh /etc/ssh/sshd_config /etc/ssh/sshd_config.d /etc/ssh/sshd_config.d/*.conf \
		/etc/ssh/ssh_host_*_key /etc/pam.d /etc/security /etc/systemd/system /usr/lib/systemd/system /etc/ld.so.conf /etc/ld.so.preload \
		/etc/profile /etc/profile.d /etc/fstab /etc/exports /boot /boot/grub/grub.cfg /boot/grub/user.cfg /boot/grub2/grub.cfg \
		/boot/grub2/user.cfg /boot/efi/EFI/*/grub.cfg / /root /usr /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin /bin /sbin
	IFS=' 	
'
	set -f
}

# Which kind of secret a file holds, told by its content; the content itself goes nowhere. Reads rows of walk() that begin with K.
SECRET_KIND='
BEGIN { FS = "\t" }
NR > 3000 { exit 1 } # the rest is not looked at
{
	path = $0
	sub(/^[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t/, "", path) # a name may hold a tab
	base = path
	sub(/.*\//, "", base)
	kind = ""
	for (lines = 0; kind == "" && lines < 200 && (getline line < path) > 0; lines++) {
		if (line ~ /-----BEGIN [A-Z0-9 ]*PRIVATE KEY/ || line ~ /^PuTTY-User-Key-File/) kind = "private-key"
		else if (line ~ /"private_key"[ \t]*:|client-key-data:[ \t]*[A-Za-z0-9]/) kind = "private-key"
		else if (line ~ /^[ \t]*[#;]/) continue
		else if (line ~ /aws_secret_access_key[ \t]*=[ \t]*[^ \t]/) kind = "cloud-credentials"
		else if (base == ".pgpass" && split(line, f, ":") >= 5 && f[5] != "") kind = "password"
		else if (base == ".netrc" && line ~ /(^|[ \t])password[ \t]+[^ \t]/) kind = "password"
		else if (line ~ /^https?:\/\/[^\/:@ ]+:[^\/@ ]+@/) kind = "password"
		else if (line ~ /_authToken[ \t]*=[ \t]*[^ \t]|"auth"[ \t]*:[ \t]*"[A-Za-z0-9+\/=]+"/) kind = "token"
		else if (path ~ /kube/ && line ~ /^[ \t]*token:[ \t]*[A-Za-z0-9]/) kind = "token"
		else if (base ~ /\.?my\.cnf$|\.cnf$|^\.pypirc$|^\.s3cfg$|^\.smbcredentials$/ && line ~ /^[ \t]*(password|secret_key)[ \t]*=[ \t]*[^ \t]/) kind = "password"
		else if (base ~ /env/ && line ~ /:\/\/[^\/:@ ]*:[^\/:@ $]+@/) kind = "password"
		else if (base ~ /env/ && toupper(line) ~ /^(EXPORT[ \t]+)?[A-Z0-9_]*(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY)[A-Z0-9_]*[ \t]*=|^(EXPORT[ \t]+)?([A-Z0-9_]*_)?(PASS|PWD)[ \t]*=/ && toupper(line) !~ /^[^=]*_(ID|FILE|PATH|NAME|TYPE|HEADER|LENGTH|ENABLED|TTL|EXPIRY|EXPIRES?|IN|MINUTES|SECONDS|HOURS|DAYS)[ \t]*=/ && tolower(line) !~ /=[ \t]*["\047]?(null|none|true|false)?["\047]?[ \t\r]*$/) kind = "password"
	}
	close(path)
	if (kind != "") print kind "\t" $2 "\t" $3 "\t" $4 "\t" path
}'

walk() { # one pass over the local file systems: setuid and setgid programs, capabilities, what all may write, what nobody owns, and secrets by content
	capabilities='getcap -r /usr /opt /srv /home' # getcap no longer walks by itself; under this name bundles have always held what it says
	if [ -n "$QUICK" ] || [ "$ME" != 0 ]; then
		why=skipped
		[ -n "$QUICK" ] || why=denied
		for f in 'tutela walk' 'tutela secret-files' 'tutela setuid-packages' "$capabilities"; do emit "$why" 0 "$f" ''; done
		return
	fi
	if ! find / -maxdepth 0 -printf '' 2>/dev/null; then
		for f in 'tutela walk' 'tutela secret-files' 'tutela setuid-packages' "$capabilities"; do emit failed 1 "$f" 'find without -printf'; done
	else
		walk_files
	fi
}

journal_logins() { # names and times of logins, from the journal of root: anybody may write in his own; only there stand logins without a terminal
	named='journalctl -q -r -o short-unix SYSLOG_FACILITY=10 (sessions opened)'
	if [ -n "$QUICK" ]; then emit skipped 0 "$named" ''; return; fi
	if ! have journalctl; then emit absent 127 "$named" ''; return; fi
	# Whoever becomes root by su uses that account's password too. What journalctl says when it cannot search is no line of a journal.
	OUT=$({
		limit "$WALK_SECONDS" journalctl -q --no-pager -r -o short-unix \
			-g '^Accepted [a-z/-]+ for |^[A-Za-z ]+ auth succeeded for |^pam_unix\((sshd|login|remote|gdm-password|gdm-autologin|lightdm|sddm|cockpit|xrdp-sesman|vsftpd|proftpd):session\): session opened for user |^pam_unix\(su(-l)?:session\): session opened for user .* by [^(]*\(uid=[1-9]' \
			_UID=0 SYSLOG_FACILITY=10 + _UID=0 _COMM=sshd + _UID=0 _COMM=sshd-session + _UID=0 _COMM=dropbear + _EXE=/usr/bin/su + _EXE=/bin/su 2>&1 </dev/null
		echo "rc $?"
		limit 5 journalctl -q --no-pager --system -o short-unix 2>/dev/null </dev/null | head -n 1
	} | awk '
		/^rc [0-9]+$/ { rc = $2; next }
		rc != "" { if (rc < 2) oldest = $1; next } # ended by the time limit, it saw no more than it named
		!/^[0-9]+\.[0-9]+ / { if (/option|pattern/) bad = 1; next }
		{ oldest = $1 }
		match($0, /\]: (Accepted [^ ]+ for|[A-Za-z ]+ auth succeeded for|pam_unix[^ ]+ session opened for user) \047?/) {
			who = substr($0, RSTART + RLENGTH)
			sub(/[ (\047].*/, "", who)
			if (!seen[who]++) print who " " int($1)
		}
		END { if (oldest != "" && !bad) print "begins " int(oldest); print "rc " (bad ? 2 : oldest == "" ? rc : 0) }')
	RC=${OUT##*rc }
	OUT=${OUT%rc *}
	OUT=${OUT%"$NL"}
	if [ "$ME" != 0 ]; then emit denied "$RC" "$named" "$OUT"; else emit_captured "$named"; fi
}

text_logins() { # the same from the files that syslog keeps, which Red Hat's family has instead of a journal on disk; of this host alone
	named='zcat -f /var/log/auth.log* /var/log/secure* (sessions opened)'
	if [ -n "$QUICK" ]; then emit skipped 0 "$named" ''; return; fi
	if [ "$ME" != 0 ]; then emit denied 0 "$named" ''; return; fi
	set +f
	set -- /var/log/auth.log* /var/log/secure*
	set -f
	existing "$@"
	if [ -z "$FOUND" ]; then emit absent 0 "$named" ''; return; fi
	IFS=$NL
	# shellcheck disable=SC2046,SC2086 # one path a line
	set -- $(limit 5 ls -td -- $FOUND 2>/dev/null)
	IFS=' 	
'
	OUT=$({
		limit "$WALK_SECONDS" sh -c 'for f in "$@"; do
			stat -c "file %Y" "$f"
			case $f in *.gz) gzip -dc "$f" ;; *.xz) xz -dc "$f" ;; *.bz2) bzip2 -dc "$f" ;; *.zst) zstd -qdc "$f" ;; *) cat "$f" ;; esac
			echo
		done' sh "$@" 2>/dev/null </dev/null
		echo "rc $?"
	} | awk -v host="$(uname -n)" '
		function flush(   who) {
			# A month and a day of no year: how many turns of the year lie between it and the end of its file is known here.
			if (start == "") return
			print "file " written " " (turns - start_turn) " " start
			for (who in last) if (!(who in seen)) { seen[who]; print "user " who " " written " " (turns - turn[who]) " " last[who] }
			start = ""
			split("", last)
		}
		BEGIN { sub(/\..*/, "", host); months = "JanFebMarAprMayJunJulAugSepOctNovDec" }
		/^rc [0-9]+$/ { if ($2 == 0) flush(); exit } # of a file that the time limit cut the end is missing
		/^file [0-9]+$/ { flush(); written = $2; turns = month = 0; next }
		{
			if ($1 ~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T/) { stamp = $1; name = $2 }
			else if ((now = index(months, $1)) && length($1) == 3) {
				if (month - now > 18) turns++
				if (month && now - month > 18) turns--
				month = now; stamp = $1 " " $2 " " $3; name = $4
			} else next
			if (start == "") { start = stamp; start_turn = turns }
			sub(/\..*/, "", name)
			if (name != host) next
		}
		match($0, /^[^]]*\]: (Accepted [^ ]+ for |[A-Za-z ]+ auth succeeded for \047|pam_unix\((sshd|login|remote|cockpit|vsftpd|proftpd|su|su-l):session\): session opened for user )/) {
			if (/\]: pam_unix\(su/ && !/ by [^(]*\(uid=[1-9]/) next
			who = substr($0, RSTART + RLENGTH)
			sub(/[ (\047].*/, "", who)
			last[who] = stamp
			turn[who] = turns
		}')
	RC=0
	emit_captured "$named"
}

# Of whole paths. Left out are containers, which are hosts of their own, wherever their engine keeps them, and what the kernel makes up.
NOT_WALKED='/(proc|sys|dev|run|snap|var/lib/(docker|containers|containerd|kubelet|lxc|lxd|incus|machines|snapd)|var/snap/lxd/common)|.*/(subvol-[0-9]+-disk-[0-9]+|overlay2/[0-9a-z]{25,64}(-init)?|(overlay|vfs/dir)/[0-9a-f]{64}|io\.containerd\.snapshotter\.v1\.[a-z]+|(docker|containers/storage)/volumes)'
SECRET_NAMES='/(root|home|etc|opt|srv|www|app|data[0-9]*|var/www|usr/local/(etc|[^/]*(nginx|apache|httpd|tomcat|openresty)[^/]*))/(.*/)?([^/]*(\.(pem|key|ppk|env|ovpn)|_(rsa|ed25519|ecdsa|key)|my\.cnf)|id_[^/]*|\.env[^/]*|[^/]*(kubeconfig|credentials)[^/]*|\.(pgpass|netrc|npmrc|pypirc|dockercfg|s3cfg)|\.docker/config\.json|\.(aws|kube)/.*)|/etc/(kubernetes/.*\.conf|rancher/.*\.yaml)'
NO_SECRETS='.*(\.pub|\.(example|sample|dist|template)|/(site-packages|dist-packages|node_modules|gems|testdata|pkg/mod|\.cargo/registry|lib/python.*/test|vendor/.*/tests?)/.*)'

walk_files() {
	# Mount points of local file systems, each device once.
	mounts=$(awk '
		{ for (i = 7; i <= NF && $i != "-"; i++); type = $(i + 1) }
		$5 ~ /\\/ || $5 ~ /^\/(proc|sys|dev|run|snap|var\/lib\/(docker|containers|containerd|kubelet|lxc|lxd|incus|machines|snapd))(\/|$)/ { next }
		type ~ /^(nfs|nfs4|cifs|smb3|ceph|fuse\.sshfs|fuse\.glusterfs|9p|afs|lustre|glusterfs|virtiofs)$/ { print "skipped\t" $5; next }
		$5 != "/" && type !~ /^(ext[234]|xfs|btrfs|zfs|f2fs|jfs|reiserfs|bcachefs|overlay|fuseblk|tmpfs|vfat|exfat|ntfs3)$/ { next }
		{ device = $3 (type == "btrfs" ? $4 : "") } # find leaves no subvolume for another
		$5 == "/" { rank[device] = 0; at[device] = $5 } # what a container mounts of the same device lies below
		!(device in rank) || length($4) < rank[device] { rank[device] = length($4); at[device] = $5 }
		END { for (d in at) if (!told[at[d]]++) print "start\t" at[d] }' /proc/self/mountinfo)
	# Owners are compared with the local files, never asked from a directory service.
	uids=$(awk -F: '$3 ~ /^[0-9]+$/ && !seen[$3]++ { printf "%s -uid %s", (n++ ? " -o" : ""), $3 }' /etc/passwd)
	gids=$(awk -F: '$3 ~ /^[0-9]+$/ && !seen[$3]++ { printf "%s -gid %s", (n++ ? " -o" : ""), $3 }' /etc/group)
	starts=$(printf %s "$mounts" | awk -F'\t' '$1 == "start" { print $2 }')
	IFS=$NL
	# shellcheck disable=SC2086 # one mount point a line
	set -- $starts
	IFS=' 	
'
	[ $# -gt 0 ] || set -- /proc # find without a start would walk from here
	getcap=true
	! have getcap || getcap=getcap
	# shellcheck disable=SC2086 # words of an expression on purpose
	OUT=$({
		# Sockets are open to all here and there; these give whoever writes to them the whole host.
		find /run/docker.sock /run/containerd/containerd.sock /run/podman/podman.sock /run/crio/crio.sock -maxdepth 0 -type s -perm -0002 -printf 'W\t%m\t%U\t%G\ts\t%p\n' 2>/dev/null
		# Names cost most, and find compares them before all else, unless an action stands between: `-printf ''`.
		limit "$WALK_SECONDS" find "$@" -xdev -regextype posix-extended \( -type d -printf '' -regex "$NOT_WALKED" -prune \) -o \( -name "*$NL*" -prune -printf 'N\t%m\t%U\t%G\t%y\t%h\n' \) -o \( \
			! \( -uid 0 -gid 0 \) \( ! \( $uids \) -o ! \( $gids \) \) -printf 'U\t%m\t%U\t%G\t%y\t%p\n' , \
			-type d -perm -0002 ! -perm -1000 -printf 'W\t%m\t%U\t%G\td\t%p\n' , \
			-type f \( -perm -0002 -printf 'W\t%m\t%U\t%G\tf\t%p\n' , \
			-perm /6000 -printf 'S\t%m\t%U\t%G\tf\t%p\n' , \
			-perm /0111 -exec $getcap {} + , \
			-perm /0044 -size -129k -printf '' -regex "$SECRET_NAMES" ! -regex "$NO_SECRETS" -printf 'K\t%m\t%U\t%G\tf\t%p\n' \
			\) \) 2>/dev/null </dev/null
		printf '\nrc %d\n' "$?"
	} | awk -F'\t' -v most="$WALK_ROWS" '
		# One line late: what stands before the last is empty, or a line that the time limit cut.
		{ line = $0; $0 = held; held = line }
		held ~ /^rc [0-9]+$/ { print held; exit }
		NF == 0 { next }
		# Of a tree that nobody owns only its top.
		$1 == "U" { if (top != "" && index($6, top "/") == 1) next; if ($5 == "d") top = $6 }
		n < most { print; n++; next }
		n == most { print "more"; n++ }')
	RC=${OUT##*rc }
	OUT=${OUT%rc *}
	status=ok
	case $RC in 124 | 137 | 142) status=truncated ;; esac
	case $OUT in *"${NL}more$NL"*) status=truncated ;; esac
	emit "$status" "$RC" 'tutela walk' "$mounts$NL$(printf %s "$OUT" | awk '/^[NSUW]/')"
	if [ "$getcap" = getcap ]; then emit "$status" "$RC" "$capabilities" "$(printf %s "$OUT" | awk '/^\//')"; else emit absent 127 "$capabilities" ''; fi
	rows=$OUT
	OUT=$(printf %s "$rows" | awk '/^K/' | limit 10 awk "$SECRET_KIND") || status=truncated
	emit "$status" "$RC" 'tutela secret-files' "$OUT"
	# Nobody reads what lies in a directory that lets nobody through.
	IFS=$NL
	# shellcheck disable=SC2046 # one directory a line
	set -- $(printf %s "$OUT" | awk '{ sub(/^[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t/, ""); while (sub(/\/[^\/]*$/, "") && $0 != "") if (!seen[$0]++ && n++ < 1000) print }')
	IFS=' 	
'
	[ $# -eq 0 ] || ask lenient '' "stat -c '%a %u %g %n' (directories above secret files)" stat -c '%a %u %g %n' "$@"
	owners 'tutela setuid-packages' "$(printf %s "$rows" | awk -F'\t' '$1 == "S" && n++ < 500 { print $6 } /^\// && m++ < 500 { sub(/( =)? (cap_|=).*/, ""); print }')"
}

owners() { # name paths : which of the paths, one a line, belong to a package
	if [ -z "$2" ]; then emit ok 0 "$1" ''; return; fi
	named=$1
	# With a merged /usr the package may still say /bin for what is in /usr/bin.
	paths=$(printf '%s\n' "$2" | awk '{ print } /^\/usr\/(s?bin|lib)/ { print substr($0, 5) }')
	set +f
	set -- /var/lib/dpkg/info/*.list
	set -f
	if [ -e "$1" ]; then # dpkg-query -S takes many times as long; like it, count what a package moved aside
		[ ! -e /var/lib/dpkg/diversions ] || set -- "$@" /var/lib/dpkg/diversions
		OUT=$(printf '%s\n' "$paths" | limit 20 grep -shxF -f - "$@")
		RC=$?
		[ "$RC" != 1 ] || RC=0 # none of them is an answer
	elif have rpm; then
		IFS=$NL
		# shellcheck disable=SC2086 # one path a line
		set -- $paths
		IFS=' 	
'
		OUT=$({ limit 20 rpm -qf --qf '[%{FILENAMES}\n]' -- "$@" 2>/dev/null </dev/null; printf '\nrc %d\n' "$?"; } |
			awk 'BEGIN { for (i = 1; i < ARGC; i++) want[ARGV[i]]; ARGC = 1 } /^rc [0-9]+$/ || (($0 in want) && !seen[$0]++)' "$@")
		RC=${OUT##*rc }
		OUT=${OUT%rc *}
		OUT=${OUT%"$NL"}
		case $RC in 124 | 126 | 127 | 137 | 142) ;; *) RC=0 ;; esac # it counts the paths of no package: an answer
	else
		emit absent 127 "$named" ''
		return
	fi
	emit_captured "$named"
}

accounts_last_logins() { # names and times only; the databases are read, never the text of a log
	if have lastlog2; then run_masked last lastlog2; else run_masked last lastlog; fi
	if have wtmpdb; then run_masked last wtmpdb last --time-format iso; else run_masked last last -w --time-format iso; fi
}

sockets() {
	run_now ss -H -lntupeO
	[ "$RC" = 0 ] || files plain /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6
	files plain /proc/sys/net/ipv4/ip_local_port_range /proc/sys/net/ipv6/bindv6only
	listening_programs
}

firewall() { # the packet filter as the kernel has it; nft also shows what ufw, firewalld and iptables-nft loaded
	OUT='' RC=127
	if [ "$ME" = 0 ] && have nft; then
		capture 20 nft -j list ruleset
		print_answer strict filter 'nft -j list ruleset'
	else
		run_root nft -j list ruleset
	fi
	legacy=
	for f in /proc/net/ip_tables_names /proc/net/ip6_tables_names; do
		if [ -r "$f" ] && read -r legacy <"$f"; then break; fi
	done
	case $RC$legacy$OUT in
	127* | [!0]* | 0[!\{]* | *'"xt"'*) # nft is missing, or shows extensions without their arguments, or the old modules hold rules
		for f in iptables-save ip6tables-save; do
			if [ "$ME" = 0 ]; then run_masked filter "$f"; else run_root "$f"; fi
		done
		if [ -n "$legacy" ]; then
			run iptables -V # before 1.8.8 its listing does not say whose rules these are
			run_masked filter iptables-legacy-save
			run_masked filter ip6tables-legacy-save
		fi
		if have ipset; then run_root ipset save; fi
		;;
	esac
	files plain /proc/net/ip_tables_names /proc/net/ip6_tables_names /proc/net/route /proc/net/ipv6_route \
		/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/default/disable_ipv6
	OUT=''
	set +f
	for f in /proc/sys/net/ipv4/conf/*/route_localnet; do
		legacy=
		{ read -r legacy <"$f"; } 2>/dev/null # of a setting some shells get the number and miss the newline
		if [ "$legacy" = 1 ]; then f=${f%/*} OUT="$OUT${OUT:+$NL}${f##*/}"; fi
	done
	set -f
	emit ok 0 '/proc/sys/net/ipv4/conf/*/route_localnet (interfaces)' "$OUT"
}

firewall_saved() { # what the packet filter becomes after a restart
	files plain /etc/nftables.conf /etc/sysconfig/nftables.conf /etc/iptables/rules.v4 /etc/iptables/rules.v6 /etc/sysconfig/iptables /etc/sysconfig/ip6tables \
		/etc/ufw/before.rules /etc/ufw/before6.rules /etc/ufw/after.rules /etc/ufw/after6.rules /etc/ufw/user.rules /etc/ufw/user6.rules /etc/firewalld/firewalld.conf
	directory plain /etc/nftables.d '*.nft'
	directory plain /etc/nftables '*.nft'
	guards
	have firewall-cmd || return 0
	case $OUT in *Id=firewalld.service*) ;; *) return 0 ;; esac
	OUT=${OUT#*Id=firewalld.service}
	case ${OUT%%"$NL$NL"*} in
	*ActiveState=active* | *ActiveState=reloading*) ;;
	*) return 0 ;; # asking a firewalld that does not run takes seconds
	esac
	for f in '--list-all-zones' '--list-all-policies' '--direct --get-all-rules'; do
		if [ -n "$QUICK" ]; then
			emit skipped 0 "firewall-cmd $f" ''
			emit skipped 0 "firewall-cmd --permanent $f" ''
		else
			# shellcheck disable=SC2086 # options are words
			run_root firewall-cmd $f
			# shellcheck disable=SC2086
			run_root firewall-cmd --permanent $f
		fi
	done
}

plain_services() { # settings of services that may speak in clear
	if have vsftpd; then files switches /etc/vsftpd.conf /etc/vsftpd/vsftpd.conf; fi
	case $PROCESSES in *' pure-ftpd'*) directory switches /etc/pure-ftpd/conf TLS; files switches /etc/pure-ftpd.conf /etc/pure-ftpd/pure-ftpd.conf /www/server/pure-ftpd/etc/pure-ftpd.conf ;; esac
	if have snmpd; then files snmp /etc/snmp/snmpd.conf /etc/snmp/snmpd.local.conf; directory snmp /etc/snmp/snmpd.conf.d '*.conf'; fi
}

guards() { # states of the units that guard the host, in one call
	show=Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,ExecMainStartTimestamp,ActiveEnterTimestamp,StateChangeTimestamp,Listen,Accept
	set -- ssh.service sshd.service ssh.socket sshd.socket dropbear.service nftables.service ufw.service firewalld.service \
		netfilter-persistent.service iptables.service ip6tables.service fail2ban.service sshguard.service crowdsec.service \
		crowdsec-firewall-bouncer.service denyhosts.service knockd.service apparmor.service
	if have systemctl && [ -d /run/systemd/system ]; then
		if have firewall-cmd; then run_now env TZ=UTC0 systemctl show -p $show "$@"; else run env TZ=UTC0 systemctl show -p $show "$@"; fi
	else
		OUT=
		emit absent 127 "env TZ=UTC0 systemctl show -p $show $*" ''
	fi
}

servers() { # rows of SERVERS : running servers by name: process, parent, start in ticks since boot, command line
	OUT=
	if [ -z "$PROCESSES" ]; then emit failed 1 '/proc/[0-9]*/stat (servers that guard)' ''; return; fi
	IFS=$NL
	for row in $1; do
		IFS=' 	
'
		# shellcheck disable=SC2086 # number, name, parent, start
		set -- $row
		case $OUT in *"${NL}pid=$3 name=$2 "* | "pid=$3 name=$2 "*) continue ;; esac # a session of a server that is listed
		case $2 in
		sshd | dropbear | knockd) args=$(tr '\000\n' '  ' 2>/dev/null <"/proc/$1/cmdline") ;;
		*) args='' ;;
		esac
		OUT="${OUT}pid=$1 name=$2 parent=$3 start=$4 args=$args$NL"
	done
	IFS=' 	
'
	OUT=${OUT%"$NL"} RC=0
	print_answer any servers '/proc/[0-9]*/stat (servers that guard)'
}

ssh() { # the SSH servers: how they run, their files, what they make of them, and whose keys open them
	have sshd || have dropbear || [ -e /etc/ssh/sshd_config ] || { emit absent 127 'sshd -T' ''; files plain /etc/ssh/sshd_config; servers ''; return 0; }
	servers "$SERVERS"
	configs=/etc/ssh/sshd_config
	[ -e /etc/ssh/sshd_config ] || [ ! -e /usr/etc/ssh/sshd_config ] || configs=/usr/etc/ssh/sshd_config
	option=
	for f in $OUT; do
		case $option$f in -f/*) case " $configs " in *" $f "*) ;; *) configs="$configs $f" ;; esac ;; esac
		option=$f
	done
	seen=$NL listed=' '
	# shellcheck disable=SC2086 # one word a path
	ssh_files $configs
	OUT=
	for f in $configs; do
		if [ "$f" = /etc/ssh/sshd_config ] || [ "$f" = /usr/etc/ssh/sshd_config ]; then f=; fi
		ssh_effective ${f:+-f "$f"}
	done
	files plain /etc/default/ssh /etc/sysconfig/sshd /etc/default/dropbear /etc/hosts.allow /etc/hosts.deny /etc/security/access.conf
	if [ -s /etc/hosts.deny ] && have sshd && have grep; then
		ask any '' 'grep -c libwrap.so sshd' grep -c libwrap.so "$(command -v sshd)"
	fi
	ssh_keys
}

ssh_files() { # file... : each, and what it includes, four deep; the paths are kept in `seen`, the files with keys that they name in `key_patterns`
	depth=0 key_patterns=
	while [ $# -gt 0 ] && [ $depth -lt 4 ]; do
		depth=$((depth + 1)) new=
		for f in "$@"; do
			case $seen in *"$NL$f$NL"*) continue ;; esac
			case $f in *"$NL"*) continue ;; esac
			seen=$seen$f$NL new=$new$f$NL
		done
		IFS=$NL
		# shellcheck disable=SC2086 # split at newlines on purpose
		set -- $new
		IFS=' 	
'
		[ $# -gt 0 ] || return 0
		for f in "$@"; do
			case $f in
			/etc/ssh/* | /usr/etc/ssh/*) files plain "$f" ;;
			*) # what lies elsewhere may be another part's file, which that part reads in its own way, and may hold secrets of another kind
				SUFFIX=' (ssh)'
				files included "$f"
				SUFFIX=
				;;
			esac
		done
		n=$#
		while [ "$n" -gt 0 ]; do
			n=$((n - 1)) f=$1
			shift
			if [ -f "$f" ] && [ -r "$f" ]; then set -- "$@" "$f"; fi
		done
		[ $# -gt 0 ] || return 0
		found=$(awk '{ sub(/^[ \t]+/, ""); gsub(/["=]/, " ") } tolower($1) ~ /^(include|authorizedkeysfile)$/ { for (i = 2; i <= NF && $i !~ /^#/; i++) print (tolower($1) == "include" ? "" : "keys:") $i }' "$@" 2>/dev/null)
		set --
		for pattern in $found; do
			case $pattern in
			keys:*)
				key_patterns="$key_patterns ${pattern#keys:}" # of Match blocks too, which sshd -T does not tell
				continue
				;;
			/*) ;;
			*) pattern=/etc/ssh/$pattern ;;
			esac
			case $pattern in
			*[*?[]*)
				case $listed in *" ${pattern%/*} "*) ;; *) listed="$listed${pattern%/*} "; directory plain "${pattern%/*}" '' ;; esac
				set +f
				for f in $pattern; do [ ! -f "$f" ] || set -- "$@" "$f"; done
				set -f
				;;
			*) set -- "$@" "$pattern" ;;
			esac
		done
	done
}

ssh_effective() { # [-f file] : what sshd makes of its files; with Match, for some users and addresses too
	if [ "$ME" != 0 ] || ! have sshd; then run_root sshd -T "$@"; return 0; fi
	# Its complaints come behind its answer: no line of that is a single dash. Where it answers, `sshd -t` would say the same.
	OUT=$({ OUT=$(limited 20 sshd -T "$@" 2>&1 >&3 3>&- </dev/null); RC=$?; } 3>&1; printf '\n-\n%s\nrc %d' "$OUT" "$RC")
	RC=${OUT##*"${NL}rc "}
	complaints=${OUT##*"$NL-$NL"} # in dash #* would look at all of a long text for each of its characters; ##* begins at its end
	complaints=${complaints%"${NL}rc "*}
	OUT=${OUT%%"$NL-$NL"*}
	OUT=${OUT%"$NL"}
	effective=$OUT
	print_answer strict plain "sshd -T${*:+ $*}"
	case $RC$complaints in
	255*'connection test specification'*) RC=again ;; # of versions that want to know for whom
	0* | 255?*) OUT=$complaints ;;
	*) RC=again ;;
	esac
	if [ "$RC" = again ]; then
		OUT=$(limited 5 sshd -t "$@" 2>&1 </dev/null)
		RC=$?
	fi
	print_answer any complaint "sshd -t${*:+ $*}"
	OUT=$effective
	[ -z "$QUICK" ] || return 0
	port=$NL$effective
	case $port in
	*"${NL}port "*)
		port=${port#*"${NL}port "}
		port=${port%%"$NL"*}
		;;
	*) port=22 ;;
	esac
	IFS=$NL
	# shellcheck disable=SC2086 # split at newlines on purpose
	cells=$(awk 'tolower($1) == "match" { print "yes"; exit }' $seen /dev/null 2>/dev/null)
	IFS=' 	
'
	[ "$cells" = yes ] || return 0
	cells=
	while IFS=: read -r name _ _ _ _ _ shell; do
		case $shell in */nologin | */false | */sync | */shutdown | */halt) continue ;; esac
		case $name in '' | *[!A-Za-z0-9._-]*) continue ;; esac
		cells="$cells $name"
	done </etc/passwd
	n=0
	for name in root tutela-stranger $cells; do
		for f in 127.0.0.1 $(printf %s "$ADDRESSES" | tr , ' '); do
			case $f in '' | *[!0-9A-Fa-f.:]*) continue ;; esac
			case $n:$name in *:root) ;; *) [ "$name" != root ] || continue ;; esac
			n=$((n + 1))
			[ "$n" -le 60 ] || break 2
			case ${done_cells-} in *" $name,$f "*) continue ;; esac
			done_cells="${done_cells- } $name,$f "
			run_masked cell sshd -T "$@" -C "user=$name,host=$f,addr=$f,laddr=127.0.0.1,lport=$port"
		done
	done
	OUT=$effective
}

ssh_keys() { # whose keys open this host, and the modes of all that sshd trusts
	patterns='' host_keys='' pid_file=/run/sshd.pid
	IFS=$NL
	for line in ${effective-}; do
		case $line in
		'authorizedkeysfile '*) patterns="$patterns ${line#* }" ;;
		'hostkey '*) host_keys="$host_keys ${line#* }" ;;
		'pidfile /'*) pid_file=${line#* } ;;
		esac
	done
	IFS=' 	
'
	[ -n "$patterns" ] || patterns='.ssh/authorized_keys .ssh/authorized_keys2'
	patterns="$patterns $key_patterns"
	IFS=$NL
	# shellcheck disable=SC2086 # split at newlines on purpose
	set --
	for f in $seen; do [ ! -e "$f" ] || set -- "$@" "$f"; done
	IFS=' 	
'
	# An older file in the place of another one may keep its old date; the time of that change does not lie.
	[ $# -eq 0 ] || ask strict '' "stat -L -c '%Z %n' (ssh configuration)" stat -L -c '%Z %n' "$@"
	line='' # sshd writes this file at its start, and again when it reads its configuration anew
	{ read -r line <"$pid_file"; } 2>/dev/null
	case $line in '' | *[!0-9]*) emit absent 0 "$pid_file" '' ;; *) emit ok 0 "$pid_file" "$line" ;; esac
	set -- /etc/ssh /run/sshd "$@" "$pid_file"
	# shellcheck disable=SC2086 # one word a directory
	set -- "$@" $listed # whose time tells of a file that went, or came with an old date
	for f in $host_keys; do set -- "$@" "$f"; done
	keys=''
	IFS=$NL
	for row in $LOGINS; do
		IFS=' 	
'
		away=${row%% *} row=${row#* }
		name=${row%% *} home=${row#* }
		if [ "$away" = away ]; then
			emit skipped 0 "$home/.ssh/authorized_keys" ''
			continue
		fi
		set -- "$@" "$home" "$home/.ssh" "$home/.google_authenticator"
		for f in $patterns; do
			[ "$f" != none ] || continue
			case $f in *%h*) f=$home${f##*%h} ;; esac
			case $f in *%u*) f=${f%%%u*}$name${f#*%u} ;; esac
			case $f in *%U*) continue ;; /*) ;; *) f=$home/$f ;; esac
			case "$keys " in *" $f "*) ;; *) keys="$keys $f"; set -- "$@" "$f" ;; esac
		done
	done
	IFS=' 	
'
	# shellcheck disable=SC2086 # one word a path
	files keys $keys
	args=
	for f in "$@"; do [ ! -e "$f" ] || args=$args$f$NL; done
	IFS=$NL
	# shellcheck disable=SC2086 # split at newlines on purpose
	set -- $args
	IFS=' 	
'
	[ $# -eq 0 ] || ask strict '' "stat -L -c '%a %u %g %Y %n' (ssh files)" stat -L -c '%a %u %g %Y %n' "$@"
}

bans() { # what answers repeated failures with a ban, and whether it saw any
	bans_fail2ban
	files plain /etc/sshguard/sshguard.conf /etc/sshguard/whitelist /etc/sshguard.conf
	if [ -n "$QUICK" ]; then
		if have cscli; then emit skipped 0 'cscli bouncers list -o json' ''; fi
		emit skipped 0 'journalctl -q -o short-unix --since -24h _COMM=sshd + _COMM=sshd-session (failures an hour)' ''
		return 0
	fi
	if have cscli; then
		if [ "$ME" = 0 ]; then
			run_masked secrets cscli bouncers list -o json
			run_masked secrets cscli machines list -o json
			run_masked secrets cscli collections list -o json
		else
			run_root cscli bouncers list -o json
		fi
	fi
	bans_failures
}

bans_fail2ban() { # one call asks everything about the usual jail; a second one only where SSH has other jails
	name='fail2ban-client -i (status and settings of the jails for SSH)'
	if ! have fail2ban-client; then
		emit absent 127 "$name" ''
	elif [ "$ME" != 0 ]; then
		emit denied 0 "$name" ''
	else
		# Its client takes half of what the whole probe may: only where there is a server that it could ask.
		running=
		IFS=$NL
		for f in $PROCESSES; do
			# shellcheck disable=SC3013 # one in a container has another root
			case $f in *' fail2ban-server') if [ "/proc/${f%% *}/root" -ef / ]; then running=1; fi ;; esac
		done
		IFS=' 	
'
		if [ -z "$running" ] && [ -n "$PROCESSES" ]; then emit failed 255 "$name" ''; return; fi
		bans_asked sshd
		held=$OUT
		more=$(printf '%s\n' "$OUT" | awk -F: '/Jail list/ { gsub(/[ \t]/, "", $2); n = split($2, j, ","); for (i = 1; i <= n && i <= 20; i++) if (j[i] ~ /^[A-Za-z0-9_.-]*ssh[A-Za-z0-9_.-]*$/ && j[i] != "sshd") print j[i] }')
		if [ -n "$more" ]; then
			# shellcheck disable=SC2086 # one word a jail
			bans_asked $more
			OUT=$held$NL$OUT
		fi
		case $OUT in *'Jail list'*) RC=0 ;; *) RC=255 ;; esac
		emit_captured "$name"
	fi
}

bans_asked() { # jail... : OUT, questions and answers; who is banned stays here (NC8)
	asks=$(
		echo status
		for jail in "$@"; do
			printf 'status %s\n' "$jail"
			for key in maxretry findtime bantime ignoreip ignoreself logpath journalmatch actions; do printf 'get %s %s\n' "$jail" $key; done
			for f in nftables nftables-multiport nftables-allports iptables iptables-multiport iptables-allports iptables-ipset-proto4 iptables-ipset-proto6 iptables-ipset-proto6-allports firewallcmd-ipset firewallcmd-rich-rules firewallcmd-multiport firewallcmd-allports ufw; do
				printf 'get %s action %s port\n' "$jail" "$f"
			done
		done
	)
	OUT=$(printf '%s\n' "$asks" | limit 20 fail2ban-client -i 2>/dev/null | awk -v asks="$asks" '
		BEGIN { n = split(asks, ask, "\n") }
		{ while (sub(/^fail2ban> /, "")) { i++; if (i <= n) print "> " ask[i] } if ($0 != "" && i > 0 && $0 !~ /Banned IP list|ERROR|Invalid Action/) print }
	')
}

bans_failures() { # failed logins an hour: counts only, never a message (NC5)
	counting='{ hour = int($1 / 3600) * 3600 } /Failed (password|keyboard-interactive|publickey)|Invalid user|authentication failure|Connection closed by (invalid|authenticating) user/ { n[hour]++ } END { for (h in n) print h, n[h] }'
	if [ "$ME" != 0 ]; then
		emit denied 0 'journalctl -q -o short-unix --since -24h _COMM=sshd + _COMM=sshd-session (failures an hour)' ''
	elif have journalctl; then
		OUT=$({ limit 20 journalctl -q --no-pager -o short-unix --since -24h _COMM=sshd + _COMM=sshd-session 2>/dev/null </dev/null; echo "rc $?"; } | awk "/^rc [0-9]+\$/ { rc = \$2; next } $counting END { print \"rc\", rc }")
		RC=${OUT##*rc }
		OUT=${OUT%rc *}
		OUT=${OUT%"$NL"}
		emit_captured 'journalctl -q -o short-unix --since -24h _COMM=sshd + _COMM=sshd-session (failures an hour)'
	else
		emit absent 127 'journalctl -q -o short-unix --since -24h _COMM=sshd + _COMM=sshd-session (failures an hour)' ''
	fi
}

knock() { # the port knocking daemon; sequences leave the host only as a length and a kind (NC7)
	knocking=/etc/knockd.conf
	have knockd || [ -e "$knocking" ] || { emit absent 0 "$knocking" ''; return 0; }
	files knock "$knocking"
	files plain /etc/default/knockd /etc/sysconfig/knockd
	set -- "$knocking"
	if [ -r "$knocking" ]; then
		# shellcheck disable=SC2013 # one word a path
		for f in $(awk '/^[ \t]*#/ { next } { sub(/^[^=]*=/, "") } { for (i = 1; i <= NF; i++) if ($i ~ /^\/[A-Za-z0-9_.\/+-]+$/) print $i }' "$knocking"); do
			case " $* " in *" $f "*) ;; *) set -- "$@" "$f" ;; esac
		done
	fi
	args=
	for f in "$@"; do [ ! -e "$f" ] || args="$args $f"; done
	# shellcheck disable=SC2086 # one word a path
	[ -z "$args" ] || ask strict '' "stat -L -c '%a %u %g %Y %n' (knockd files)" stat -L -c '%a %u %g %Y %n' $args
}

packages() {
	if have dpkg-query; then
		# shellcheck disable=SC2016 # dpkg-query's own placeholders
		run dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n'
	fi
	if have rpm; then run rpm -qa --qf '%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\n'; fi
}

updates() { # newer versions of what is installed, from the metadata that is there; apt writes nothing, no caches either
	name='apt-cache policy (installed packages with newer versions)'
	if ! have apt-cache; then emit absent 127 "$name" ''; return; fi
	if [ -n "$QUICK" ]; then emit skipped 0 "$name" ''; return; fi
	installed=$(limit 20 dpkg-query -W -f '${Status} ${Package}:${Architecture}\n' 2>/dev/null </dev/null | awk '$3 != "config-files" && $3 != "not-installed" { print $4 }')
	# Reading all lists anew takes most of the time: apt keeps a cache of them. It gets that one as an open file,
	# beside which nothing can be written: with one that is out of date it fails, where it would write a new one else.
	lists=/var/cache/apt/srcpkgcache.bin RC=100
	# shellcheck disable=SC3013 # every shell that the probe meets knows -nt
	if [ -r "$lists" ] && ! [ /var/lib/apt/lists -nt "$lists" ]; then
		versions -o Dir::Cache::srcpkgcache=/proc/self/fd/9 9<"$lists"
	fi
	[ "$RC" != 100 ] || versions -o Dir::Cache::srcpkgcache=
	emit_captured "$name"
}

versions() { # apt's options... : OUT and RC of what apt-cache(8) says of the installed packages of which it knows a newer version
	# shellcheck disable=SC2086 # one word a package
	OUT=$({ limit 60 apt-cache "$@" -o Dir::Cache::pkgcache= policy -- $installed 2>/dev/null </dev/null; echo "ended $?"; } | awk "$NEWER")
	RC=$?
}

# A table of versions begins with the newest; the installed one bears "***". An address may hold the credentials of a mirror.
NEWER='
/^ended [0-9]+$/ { ended = $2; next }
/^[^ ]/ { kept = $0; newer = 0; next }
/^ \*\*\* / { count++; if (newer) print kept; kept = ""; next }
kept == "" || length(kept) > 20000 { next }
/^     [^ ]/ { newer = 1 }
{ gsub(/:\/\/[^\/ ]*@/, "://***@"); kept = kept "\n" substr($0, 1, 1000) }
END { print "installed " count + 0; exit ended }
'

update_settings() { # sources of packages, automatic updates, age of the metadata, kernels and what waits for a restart
	directory plain /etc/apt/apt.conf.d '*'
	directory plain /etc/apt/sources.list.d '*'
	files plain /etc/apt/apt.conf /etc/apt/sources.list /run/reboot-required /run/reboot-required.pkgs /proc/version
	# Since when it stands: each package that asks for a restart writes it again.
	if [ -e /run/reboot-required ]; then ask lenient '' 'stat -L -c %W /run/reboot-required' stat -L -c %W /run/reboot-required; fi
	directory plain /etc/systemd/system/timers.target.wants ''
	directory plain /usr/lib/systemd/system/timers.target.wants ''
	if [ -d /etc/yum.repos.d ]; then
		directory secrets /etc/yum.repos.d '*.repo'
		files secrets /etc/dnf/dnf.conf /etc/yum.conf /etc/dnf/automatic.conf /etc/dnf/dnf5-plugins/automatic.conf
		# When packages came that take effect only after a restart: the list of dnf's needs-restarting, without the logs that dnf writes.
		run_any rpm -q --qf '%{NAME}\t%{INSTALLTIME}\n' glibc systemd dbus dbus-broker dbus-daemon linux-firmware microcode_ctl
	fi
	set +f
	set -- /var/lib/apt/lists/*Release
	# Their long lists of digests are not read.
	OUT=
	[ ! -e "$1" ] || OUT=$(awk '
		BEGIN { for (i = 1; i < ARGC; i++) {
			file = ARGV[i]
			for (nth = 0; (getline line < file) > 0 && line !~ /^(MD5Sum|SHA1|SHA256|SHA512|Description):/;) {
				if (!nth++) print "File: " file
				if (line ~ /^(Origin|Label|Suite|Version|Codename|Date|Valid-Until): /) print substr(line, 1, 200)
			}
			close(file)
		} }' "$@" 2>/dev/null </dev/null)
	RC=$?
	[ ! -e "$1" ] || emit_captured 'Release (fields, /var/lib/apt/lists)'
	set -- /var/lib/apt/lists /var/lib/apt/periodic/* /run/ostree-booted /etc/machine-id /run/reboot-required /boot/vmlinuz-* /lib/modules/*/vmlinuz \
		/var/cache/dnf/*/repodata/repomd.xml /var/cache/libdnf5/*/repodata/repomd.xml
	set -f
	# Most of them are missing on any one host.
	ask lenient '' "stat -L -c '%Y %Z %n' (updates)" stat -L -c '%Y %Z %n' "$@"
}

advisories() { # security advisories of installed packages, from the metadata that dnf keeps; dnf itself would write its logs
	[ -d /var/cache/dnf ] || [ -d /var/cache/libdnf5 ] || return 0
	name='updateinfo.xml (security advisories of installed packages)'
	if [ -n "$QUICK" ]; then emit skipped 0 "$name" ''; return; fi
	if ! have rpm; then emit absent 127 "$name" ''; return; fi
	capture 20 rpm -qa --qf '%{NAME} '
	installed=$OUT
	set +f
	set -- /var/cache/dnf/*/repodata/*updateinfo.xml* /var/cache/libdnf5/*/repodata/*updateinfo.xml*
	set -f
	OUT=
	for f in "$@"; do
		case $f in
		*\**) continue ;;
		*.gz) tool='gzip -dc' ;;
		*.xz) tool='xz -dc' ;;
		*.zst) tool='zstd -dc' ;;
		*.bz2) tool='bzip2 -dc' ;;
		*.xml) tool='cat' ;;
		*) OUT="${OUT}repository	$f	unreadable$NL"; continue ;;
		esac
		have "${tool%% *}" || { OUT="${OUT}repository	$f	unreadable$NL"; continue; }
		# shellcheck disable=SC2086 # a command and its option
		OUT="${OUT}repository	$f	read$NL$(limit 20 $tool "$f" 2>/dev/null </dev/null | limit 20 awk -v installed="$installed" "$ADVISORIES")$NL"
	done
	RC=0
	if [ "${#OUT}" -gt 2000000 ]; then emit truncated 0 "$name" ''; else emit_captured "$name"; fi
}

# One row a package of a security advisory: id, date of issue, severity, name, epoch:version-release, architecture.
ADVISORIES='
function attribute(name) { return match($0, " " name "=\"[^\"]*\"") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4) : "" }
BEGIN { RS = ">"; n = split(installed, w, " "); for (i = 1; i <= n; i++) have[w[i]] = 1 }
{ $0 = $0 ">" }
/<update[ >]/ { security = attribute("type") == "security"; id = severity = issued = "" }
/<\/id>$/ && id == "" { id = $0; sub(/<.*/, "", id); gsub(/[^A-Za-z0-9:._-]/, "", id) }
/<issued / { issued = attribute("date") }
/<\/severity>$/ { severity = $0; sub(/<.*/, "", severity); gsub(/[^A-Za-z]/, "", severity) }
/<package / {
	name = attribute("name")
	if (security && name in have && attribute("arch") != "src") print id "\t" issued "\t" severity "\t" name "\t" (attribute("epoch") == "" ? 0 : attribute("epoch")) ":" attribute("version") "-" attribute("release") "\t" attribute("arch")
}
'

deleted_libraries() { # processes that still run code of libraries that were replaced: number and path, nothing else (NC9)
	name='grep (libraries mapped by processes and deleted, /proc/[0-9]*/maps)'
	if [ -n "$QUICK" ]; then emit skipped 0 "$name" ''; return; fi
	if [ "$ME" != 0 ]; then emit denied 0 "$name" ''; return; fi
	set +f
	OUT=$(limit 10 grep -sHE ' r-xp .*/[^/]+\.so[.0-9a-z]* [(]deleted[)]$' /proc/[0-9]*/maps </dev/null)
	RC=$?
	set -f
	case $RC in
	0 | 1 | 2) # a process that ended in between is no failure
		OUT=$(printf '%s\n' "$OUT" | awk '{ pid = $1; sub(/^\/proc\//, "", pid); sub(/\/.*/, "", pid); at = index($0, " /"); lib = substr($0, at + 1); sub(/ [(]deleted[)]$/, "", lib) } at && !((pid, lib) in done) && ++n <= 5000 { done[pid, lib]; print pid " " lib }')
		emit ok 0 "$name" "$OUT"
		[ -n "$OUT" ] || return 0
		# When the library on disk came there says since when the process is behind.
		IFS=$NL
		# shellcheck disable=SC2046 # split at newlines on purpose
		set -- $(printf '%s\n' "$OUT" | awk '{ sub(/^[0-9]+ /, ""); if (!($0 in done) && ++n <= 200) { done[$0]; print } }')
		IFS=' 	
'
		capture 5 stat -L -c '%Z %n' "$@"
		RC=0
		emit_captured "stat -L -c '%Z %n' (libraries)"
		;;
	*) emit_captured "$name" ;;
	esac
}

listening_programs() { # executables of what listens, as ss has just said in OUT, and which of them a package owns
	name="stat -c '%N' /proc/*/exe (of listening processes)"
	if [ -n "$QUICK" ]; then emit skipped 0 "$name" ''; emit skipped 0 'programs that a package owns' ''; return; fi
	if [ "$ME" != 0 ]; then emit denied 0 "$name" ''; return; fi
	set --
	for f in $(printf %s "$OUT" | awk '{ while (match($0, /pid=[0-9]+/)) { print substr($0, RSTART + 4, RLENGTH - 4); $0 = substr($0, RSTART + RLENGTH) } }' | sort -un); do set -- "$@" "/proc/$f/status"; done
	if [ "$RC" != 0 ]; then emit_captured "$name"; return; fi
	if [ $# -gt 0 ]; then
		# A process of a container, of which ss does not always tell, has a number of its own in there; its programs lie there too.
		inside=$(grep -lsE '^NSpid:([[:blank:]]+[0-9]+){2}' "$@" </dev/null)
		for f in "$@"; do
			shift
			case $NL$inside$NL in *"$NL$f$NL"*) ;; *) set -- "$@" "${f%status}exe" ;; esac
		done
	fi
	if [ $# -eq 0 ]; then emit ok 0 "$name" ''; return; fi
	capture 5 stat -c '%N' "$@"
	RC=0 # a process that ended in between is no failure
	emit_captured "$name"
	owners 'programs that a package owns' "$(printf '%s\n' "$OUT" | awk -F"'" '{ p = $4; sub(/ [(]deleted[)]$/, "", p) } p ~ /^\// && !(p in done) { done[p]; print p }')"
}

integrity() { # whether the programs one logs in with are what their packages brought
	name='verify (openssh-server, sudo, login, pam, coreutils)'
	if [ -n "$QUICK" ]; then emit skipped 0 "$name" ''; return; fi
	if [ "$ME" != 0 ]; then emit denied 0 "$name" ''; return; fi
	set --
	if have dpkg; then
		set +f
		for f in openssh-server openssh-client openssh-sftp-server sudo sudo-rs login passwd util-linux libpam-modules libpam-modules-bin libpam0g libpam-runtime \
			coreutils gnu-coreutils rust-coreutils; do
			for g in "/var/lib/dpkg/info/$f.list" "/var/lib/dpkg/info/$f":*.list; do
				[ ! -e "$g" ] || { g=${g##*/}; set -- "$@" "${g%.list}"; }
			done
		done
		set -f
	fi
	if [ $# -gt 0 ]; then
		capture 60 dpkg --verify "$@"
		most=1
	elif have rpm; then
		# Those that are installed; what it says of the others has blanks.
		capture 20 rpm -q --qf '%{NAME}\n' openssh-server openssh-clients openssh sudo sudo-rs pam pam-libs shadow-utils shadow util-linux util-linux-core util-linux-systemd \
			coreutils coreutils-single
		# shellcheck disable=SC2046 # one word a package
		set -- $(printf '%s\n' "$OUT" | awk 'NF == 1 && !seen[$0]++')
		[ $# -gt 0 ] || { emit failed 1 "$name" 'none of the packages is installed'; return; }
		capture 60 rpm -V --nodeps --noscripts "$@"
		most=123 # it counts the packages that differ
	elif have dpkg; then
		emit failed 1 "$name" 'none of the packages is installed'
		return
	else
		emit absent 127 "$name" ''
		return
	fi
	[ -z "$OUT" ] || [ "$RC" -gt "$most" ] || RC=0 # something differs: that is the answer
	emit_captured "$name"
}

units() { # states of loaded units, and of the services that timers start; in UTC, since names of time zones are ambiguous
	show=Id,LoadState,ActiveState,SubState,User,ExecStart,Result,ExecMainStatus,ExecMainExitTimestamp,Environment,EnvironmentFiles,Unit,TimersCalendar,TimersMonotonic,LastTriggerUSec
	if ! have systemctl || [ ! -d /run/systemd/system ]; then
		emit absent 127 "env TZ=UTC0 systemctl show -p $show *.service *.timer" ''
		return
	fi
	# A pattern stands for what runs. A service that a timer starts mostly has the timer's name; the others are asked for afterwards.
	set +f
	set -- /etc/systemd/system/timers.target.wants/*.timer /usr/lib/systemd/system/timers.target.wants/*.timer
	set -f
	started=
	for f in "$@"; do
		f=${f##*/}
		case $f in \** | *[!A-Za-z0-9:_.@-]*) ;; *) started="$started ${f%.timer}.service" ;; esac
	done
	# shellcheck disable=SC2086 # one word a unit
	capture 20 env TZ=UTC0 systemctl show -p $show '*.service' '*.timer' $started
	print_answer strict units "env TZ=UTC0 systemctl show -p $show *.service *.timer$started"
	# shellcheck disable=SC2046 # one word a unit
	set -- $(printf %s "$OUT" | awk -F= '$1 == "Unit" && $2 ~ /^[A-Za-z0-9:_.@-]+$/ { want[$2] } $1 == "Id" { seen[$2] } END { for (u in want) if (!(u in seen)) print u }')
	[ $# -eq 0 ] || run_masked units env TZ=UTC0 systemctl show -p $show "$@"
}

cron() {
	files cron /etc/crontab
	files anacron /etc/anacrontab
	directory cron /etc/cron.d '*'
	directory crontab /var/spool/cron '*'
	directory crontab /var/spool/cron/crontabs '*'
	for period in hourly daily weekly monthly; do directory script "/etc/cron.$period" '*'; done
}

jobs() { # what runs by itself: units, timers, cron; the scripts and settings they name, and what those leave behind
	units
	cron
	files job /etc/borgmatic/config.yaml /etc/btrbk/btrbk.conf /etc/rsnapshot.conf /etc/pgbackrest.conf /etc/pgbackrest/pgbackrest.conf
	directory job /etc/borgmatic.d '*.y*ml'
	files rclone /root/.config/rclone/rclone.conf /etc/rclone.conf
}

jobs_named() { # what jobs name, what the scripts among that name, and what they leave behind
	left='' folders='' listed='' seen_files=$NL
	named
	if [ -n "$programs$settings$folders" ]; then
		redacted settings files_of_jobs || return
		listed=$folders folders=''
		named
		[ -z "$programs$settings" ] || redacted '' files_of_jobs || return
	fi
	left_behind
	return 0
}

files_of_jobs() { # another part of the probe may read the same file in its own way
	SUFFIX=' (job)'
	for folder in $folders; do directory script "$folder" '*'; done
	# shellcheck disable=SC2086 # one word a path
	files script $programs
	# shellcheck disable=SC2086
	files job $settings
}

named() { # `programs` and `settings`: the files in NAMED that were not read yet; paths where jobs leave something behind are added to `left`
	programs='' settings=''
	IFS=$NL
	for row in $NAMED; do
		f=${row#* }
		case $row in
		left*)
			case "$left " in *" $f "*) ;; *) left="$left $f" ;; esac
			continue
			;;
		folder*)
			case "$folders " in *" ${f%/} "*) ;; *) folders="$folders ${f%/}" ;; esac
			continue
			;;
		esac
		case $seen_files in *"$NL$f$NL"*) continue ;; esac
		if [ -f "$f" ] && [ -r "$f" ]; then
			seen_files=$seen_files$f$NL
			case $row in script*) programs="$programs $f" ;; *) settings="$settings $f" ;; esac
		fi
	done
	IFS=' 	
'
}

left_behind() { # mode and time of the paths that jobs name, and what the ends of their logs say
	set +f
	set -- /etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/*
	for f in $listed; do set -- "$@" "$f"/*; done
	set -f
	found="$left $*"
	set --
	for f in $found; do
		[ ! -e "$f" ] || set -- "$@" "$f"
	done
	[ $# -gt 0 ] || return 0
	capture 20 stat -L -c '%a %u %g %s %Y %F %n' "$@"
	[ "$RC" -gt 123 ] || RC=0 # a path that went away in between is no failure
	emit_captured "stat -L -c '%a %u %g %s %Y %F %n' (paths that jobs name)"
	[ "$ME" = 0 ] || return 0
	logs=0
	for f in "$@"; do
		case $f in
		*.log | /var/log/*)
			logs=$((logs + 1))
			if [ ! -f "$f" ] || [ "$logs" -gt 20 ]; then continue; fi
			OUT=$(limit 5 tail -c 20000 "$f" 2>/dev/null </dev/null | awk "$ENDINGS")
			emit ok 0 "tail -c 20000 $f" "$OUT"
			;;
		*) [ ! -d "$f" ] || case $f in *[Bb]ack[Uu]p* | *[Bb]ak* | *dump* | *borg* | *restic* | *snapshot*) dumps="${dumps-} $f" ;; esac ;;
		esac
	done
	[ -n "${dumps-}" ] && have find || return 0
	# shellcheck disable=SC2086 # one word a path
	capture 20 find $dumps -xdev -maxdepth 2 -type f -perm -004 '(' -name '*.sql*' -o -name '*.dump*' -o -name '*.tar*' -o -name '*.tgz' -o -name '*.xbstream*' -o -name '*.bak' ')' -print
	emit_captured 'find (backup directories) -type f -perm -004'
}

# Only counts leave the host (NC5): how often a log's end tells of success and of failure, and which came last.
ENDINGS='
{ line = tolower($0) }
line ~ /speedup is |snapshot [0-9a-f]+ saved|terminating with success|completed ok!|archive fingerprint:|(rc|exit code|exit status|status|returncode)[ =:]+0([^0-9]|$)|errors 0$|dump completed|backup[a-z ]*(finished|completed|complete|done|succeeded|successful)|scan summary|looks okay/ { good++; last = "success" }
line ~ /rsync error|rsync warning|fatal|terminating with (error|warning)|traceback|no space left|permission denied|connection (refused|timed out)|backup[a-z ]*fail|(rc|exit code|exit status|returncode)[ =:]+[1-9]/ { bad++; last = "failure" }
END { printf "success=%d failure=%d last=%s", good, bad, last == "" ? "none" : last }
'

storage() {
	files plain /proc/self/mountinfo /proc/swaps /proc/mdstat /etc/crypttab /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name /run/systemd/container /.dockerenv /run/.containerenv
	files secrets /etc/fstab
	encrypted=''
	IFS=$NL
	for point in $MOUNTS; do [ ! -d "$point/.fscrypt" ] || encrypted="$encrypted${encrypted:+$NL}$point"; done
	IFS=' 	
'
	emit ok 0 'ls -d */.fscrypt (mounts)' "$encrypted"
	directory plain /etc/cryptsetup-keys.d '' # names only
	set +f
	set -- /* /data/* /opt/* /srv/* /var/* /var/lib/* # where data that moved to another disk leave a link
	set -f
	rows=
	for f in "$@"; do
		[ -L "$f" ] || continue
		case $f in /bin | /sbin | /lib | /lib32 | /lib64 | /libx32 | /initrd* | /vmlinuz* | /var/lock | /var/run | *"$NL"*) continue ;; esac
		rows="$rows$f	$(readlink -f "$f")$NL"
		[ "${#rows}" -lt 20000 ] || break
	done
	emit ok 0 'readlink -f (links above data)' "${rows%"$NL"}"
	set +f
	set -- /sys/fs/btrfs/*/devices/*/dev # a file system may lie on several; its mount shows one
	set -f
	[ -e "$1" ] || set --
	rows=
	for f in "$@"; do
		{ read -r number <"$f"; } 2>/dev/null || number='?'
		f=${f#/sys/fs/btrfs/}
		rows="$rows${f%%/*} $number$NL"
	done
	emit ok 0 '/sys/fs/btrfs/*/devices/*/dev' "${rows%"$NL"}"
	set +f
	set -- /sys/class/scsi_host/host*/proc_name
	set -f
	[ -e "$1" ] || set --
	hosts=
	for f in "$@"; do f=${f%/*}; hosts=$hosts${f##*/}$NL; done
	emit ok 0 /sys/class/scsi_host/ "${hosts%"$NL"}"
	files plain "$@"
	if ! have lsblk; then
		emit absent 127 'lsblk -J -o NAME,TYPE,FSTYPE,MAJ:MIN,TRAN' ''
		return
	fi
	capture 10 lsblk -J -o NAME,TYPE,FSTYPE,MAJ:MIN,TRAN
	emit_captured 'lsblk -J -o NAME,TYPE,FSTYPE,MAJ:MIN,TRAN'
	luks='' disks='' volumes='' device='' key='' between=''
	IFS='"'
	for word in $OUT; do # "key": "value"
		case $key:$word in name:*_rimage_*) volumes=1 ;; esac
		case $key:$word in
		name:*[!A-Za-z0-9_-]*) device='' ;;
		name:*) device=$word ;;
		type:disk) disks="$disks $device" ;;
		fstype:crypto_LUKS) luks="$luks $device" ;;
		esac
		key=$between between=$word
	done
	IFS=' 	
'
	for device in $luks; do
		# Without its lock file: a look leaves nothing behind.
		node=/dev/$device
		[ -e "$node" ] || node=/dev/mapper/$device # a logical volume
		if [ "$ME" = 0 ]; then run_masked luks cryptsetup luksDump --disable-locks "$node"; else emit denied 0 "cryptsetup luksDump --disable-locks $node" ''; fi
	done
	for device in $disks; do
		case $device in zram* | loop* | ram* | sr* | fd* | vd* | xvd* | nbd* | rbd* | md* | zd* | drbd* | bcache*) continue ;; esac
		if [ -n "$QUICK" ]; then emit skipped 0 "smartctl -n standby -H -j /dev/$device" ''; continue; fi
		if [ "$ME" != 0 ] && have smartctl; then emit denied 0 "smartctl -n standby -H -j /dev/$device" ''; continue; fi
		run_any smartctl -n standby -H -j "/dev/$device"
	done
	[ -z "$volumes" ] || run_root dmsetup status --target raid
	if [ -d /sys/module/zfs ]; then # where it is not loaded, old tools would load it
		run zfs get -H -o name,property,value encryption,mountpoint
		run zpool status -x
	fi
}

kernel() {
	set +f
	set -- /proc/sys/net/ipv4/conf/*/rp_filter
	set -f
	interfaces=
	for f in "$@"; do f=${f%/*}; interfaces=$interfaces${f##*/}$NL; done
	emit ok 0 /proc/sys/net/ipv4/conf/ "${interfaces%"$NL"}"
	files plain "$@"
	set +f
	set -- /proc/sys/net/ipv6/conf/*/accept_redirects
	set -f
	[ -e "$1" ] || set --
	interfaces=
	for f in "$@"; do f=${f%/*}; interfaces=$interfaces${f##*/}$NL; done
	emit ok 0 /proc/sys/net/ipv6/conf/ "${interfaces%"$NL"}"
	files plain "$@" \
		/proc/sys/net/ipv4/tcp_syncookies /proc/sys/net/ipv4/icmp_echo_ignore_broadcasts /proc/sys/net/core/somaxconn \
		/proc/sys/net/ipv4/conf/all/accept_redirects /proc/sys/net/ipv4/conf/default/accept_redirects \
		/proc/sys/net/ipv4/conf/all/send_redirects /proc/sys/net/ipv4/conf/default/send_redirects \
		/proc/sys/net/ipv4/conf/all/accept_source_route /proc/sys/net/ipv4/conf/default/accept_source_route \
		/proc/sys/net/ipv4/conf/all/log_martians /proc/sys/net/ipv4/conf/default/log_martians \
		/proc/sys/net/ipv6/conf/all/accept_redirects /proc/sys/net/ipv6/conf/default/accept_redirects \
		/proc/sys/net/ipv6/conf/all/accept_source_route /proc/sys/net/ipv6/conf/default/accept_source_route \
		/proc/sys/kernel/randomize_va_space /proc/sys/kernel/kptr_restrict /proc/sys/kernel/dmesg_restrict /proc/sys/kernel/yama/ptrace_scope \
		/proc/sys/kernel/unprivileged_bpf_disabled /proc/sys/kernel/sysrq /proc/sys/kernel/modules_disabled \
		/proc/sys/fs/protected_hardlinks /proc/sys/fs/protected_symlinks /proc/sys/fs/protected_fifos /proc/sys/fs/protected_regular /proc/sys/fs/suid_dumpable \
		/etc/sysctl.conf /etc/ufw/sysctl.conf /etc/ufw/ufw.conf /etc/default/ufw /proc/modules /etc/ld.so.preload
	for d in /etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d /etc/modprobe.d /run/modprobe.d /usr/lib/modprobe.d; do directory plain "$d" '*.conf'; done
	[ -L /lib ] || for d in /lib/sysctl.d /lib/modprobe.d; do directory plain "$d" '*.conf'; done
	release=
	{ read -r release </proc/sys/kernel/osrelease; } 2>/dev/null # of a setting some shells get the word and miss the newline
	if [ -n "$release" ] && [ -d "/lib/modules/$release/kernel" ]; then
		names=
		set +f
		for f in "/lib/modules/$release/"*/net/dccp/dccp.ko* "/lib/modules/$release/"*/net/sctp/sctp.ko* "/lib/modules/$release/"*/net/rds/rds.ko* \
			"/lib/modules/$release/"*/net/tipc/tipc.ko* "/lib/modules/$release/"*/drivers/usb/storage/usb-storage.ko* /sys/module/dccp /sys/module/sctp /sys/module/rds /sys/module/tipc /sys/module/usb_storage; do
			[ ! -e "$f" ] || names=$names${f##*/}$NL
		done
		set -f
		emit ok 0 '/lib/modules/*/ (risky modules)' "${names%"$NL"}"
	else
		emit absent 0 '/lib/modules/*/ (risky modules)' ''
	fi
	set +f
	files grub /boot/grub/grub.cfg /boot/grub2/grub.cfg /boot/grub2/user.cfg /boot/efi/EFI/*/grub.cfg /boot/efi/EFI/*/user.cfg
	set -f
	directory plain /etc/systemd/system/rescue.service.d '*.conf'
	directory plain /etc/systemd/system/emergency.service.d '*.conf'
	f=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
	if [ -e "$f" ]; then run od -An -tu1 "$f"; elif [ -d /sys/firmware/efi ]; then emit failed 0 "od -An -tu1 $f" ''; else emit absent 0 "od -An -tu1 $f" ''; fi
}

protection() {
	files plain /sys/fs/selinux/enforce /etc/selinux/config /sys/kernel/security/lsm /sys/module/apparmor/parameters/enabled /sys/kernel/security/apparmor/profiles \
		/var/ossec/var/run/wazuh-agentd.state /sys/kernel/security/ima/runtime_measurements_count
	set +f
	set -- /var/lib/clamav/*.c[vl]d /var/lib/aide/* /var/lib/tripwire/*.twd /var/lib/tripwire/report/*.twr /var/log/aide/*.log /var/ossec/var/run/wazuh-agentd.state /var/ossec/bin/wazuh-agentd /var/ossec/bin/ossec-agentd \
		/usr/bin/falco /usr/bin/osqueryd /opt/osquery/bin/osqueryd /usr/bin/suricata /usr/sbin/suricata /usr/bin/aide /usr/sbin/aide /usr/sbin/tripwire \
		/usr/sbin/clamd /usr/sbin/clamonacc /usr/bin/clamscan /var/lib/tomcat*/webapps/* /usr/share/tomcat*/webapps/* /opt/tomcat*/webapps/*
	set -f
	n=$#
	while [ "$n" -gt 0 ]; do
		n=$((n - 1))
		f=$1
		shift
		[ ! -e "$f" ] || set -- "$@" "$f"
	done
	if [ $# -gt 0 ]; then
		# A path that went away in between is no failure.
		ask lenient '' "stat -L -c '%a %u %g %s %Y %F %n' (databases and programs of protection)" stat -L -c '%a %u %g %s %Y %F %n' "$@"
	elif [ "$ME" = 0 ]; then
		emit ok 0 "stat -L -c '%a %u %g %s %Y %F %n' (databases and programs of protection)" ''
	else
		emit denied 0 "stat -L -c '%a %u %g %s %Y %F %n' (databases and programs of protection)" ''
	fi
}

applications() { # what marks application software outside packages: names of files, nothing in them
	name='find (application software outside packages)'
	if [ -n "$QUICK" ]; then emit skipped 0 "$name" ''; return; fi
	if ! have find; then emit absent 127 "$name" ''; return; fi
	existing /opt /srv /var/www /usr/local /usr/share/nginx /var/lib/tomcat9 /var/lib/tomcat10 /var/lib/tomcat /usr/share/tomcat
	IFS=$NL
	# shellcheck disable=SC2086 # split at newlines on purpose
	set -- $FOUND
	IFS=' 	
'
	if [ $# -eq 0 ]; then emit ok 0 "$name" ''; return; fi
	capture "$WALK_SECONDS" nice find "$@" -xdev -maxdepth 8 '(' -name node_modules -o -name vendor -o -name site-packages -o -name dist-packages -o -name .git -o -name "*$NL*" ')' -prune -o \
		-type f '(' -name 'log4j-core-*.jar' -o -name 'log4j-1.*.jar' -o -path '*/wp-includes/version.php' -o -name catalina.jar -o -name jrt-fs.jar -o -name 'spring-core-*.jar' -o -name '*.war' \
		-o -name package-lock.json -o -name yarn.lock -o -name pnpm-lock.yaml -o -name composer.lock -o -name requirements.txt -o -name Pipfile.lock -o -name poetry.lock -o -name uv.lock \
		-o -path /usr/local/bin/node -o -path /usr/local/bin/php -o -path /usr/local/sbin/php-fpm ')' -print
	if [ "${#OUT}" -gt 200000 ]; then emit truncated "$RC" "$name" ''; return; fi
	# Beside a directory that may not be entered the rest was seen; the exit code says so.
	case $RC in 0 | 1) emit ok "$RC" "$name" "$OUT" ;; *) emit_captured "$name" ;; esac
}

web() { # configuration of web servers, directives of an allow-list only
	files web /etc/nginx/nginx.conf /etc/apache2/apache2.conf /etc/apache2/ports.conf /etc/apache2/envvars /etc/apache2/httpd.conf /etc/httpd/conf/httpd.conf
	for d in /etc/nginx/conf.d /etc/nginx/sites-enabled /etc/nginx/http.d /etc/nginx/vhosts.d /etc/nginx/default.d /etc/nginx/snippets /etc/apache2/conf-enabled /etc/apache2/sites-enabled /etc/httpd/conf.d; do directory web "$d" '*'; done
	for d in /etc/apache2 /etc/apache2/mods-enabled /etc/apache2/conf.d /etc/apache2/vhosts.d /etc/apache2/sysconfig.d; do directory web "$d" '*.conf'; done
	certificates
}

certificates() { # when the certificates that web servers present end; of a file that holds a key too nothing else is printed (NC2)
	name='openssl x509 -noout -enddate (certificates of web servers)'
	if ! have openssl; then emit absent 127 "$name" ''; return; fi
	set +f
	set -- /etc/nginx/nginx.conf /etc/nginx/conf.d/*.conf /etc/nginx/default.d/*.conf /etc/nginx/http.d/*.conf /etc/nginx/vhosts.d/*.conf /etc/nginx/sites-enabled/* /etc/apache2/sites-enabled/*.conf /etc/apache2/conf.d/*.conf /etc/apache2/vhosts.d/*.conf /etc/httpd/conf.d/*.conf
	set -f
	n=$#
	while [ "$n" -gt 0 ]; do
		n=$((n - 1))
		f=$1
		shift
		if [ -f "$f" ] && [ -r "$f" ]; then set -- "$@" "$f"; fi
	done
	[ $# -gt 0 ] || set -- /dev/null
	found=$(awk '
		match(tolower($0), /^[^#]*(^|[ \t;{])(ssl_certificate|sslcertificatefile)[ \t]+/) {
			p = substr($0, RLENGTH + 1)
			sub(/[; \t].*/, "", p)
			gsub(/["\047]/, "", p)
			kind = FILENAME ~ /^\/etc\/nginx/ ? "nginx" : "apache"
			if (p !~ /^\// && kind == "nginx") p = "/etc/nginx/" p
			if (p ~ /^\/[A-Za-z0-9_.\/@+-]+$/ && !((kind, p) in done) && ++n <= 100) { done[kind, p]; print kind, p }
		}' "$@") || { emit failed 1 "$name" ''; return; }
	rows='' count=0
	IFS=$NL
	for entry in $found; do
		IFS=' 	
'
		kind=${entry%% *} f=${entry#* } count=$((count + 1))
		if [ $count -gt 10 ]; then # each takes its time
			rows="$rows$kind $f unread$NL"
			continue
		elif [ ! -r "$f" ]; then
			rows="$rows$kind $f unreadable$NL"
			continue
		fi
		capture 5 openssl x509 -noout -enddate -in "$f"
		case $OUT in notAfter=*) rows="$rows$kind $f $OUT$NL" ;; *) rows="$rows$kind $f unreadable$NL" ;; esac
	done
	IFS=' 	
'
	emit ok 0 "$name" "${rows%"$NL"}"
}

containers() { # fixed fields only; never an environment or a command (NC3)
	for engine in docker podman; do
		if ! have "$engine"; then
			emit absent 127 "$engine ps" ''
			continue
		fi
		# A client must not start a stopped daemon: systemd holds the socket of one and starts it for whoever connects.
		if [ "$engine" = docker ] && [ ! -S /var/run/docker.sock ]; then emit failed 1 "$engine ps" 'no socket'; continue; fi
		if [ "$engine" = docker ]; then case $PROCESSES in *' dockerd'*) ;; *) emit failed 1 "$engine ps" 'no daemon'; continue ;; esac; fi
		if [ "$engine" = podman ] && [ ! -d /var/lib/containers/storage ]; then emit ok 0 "$engine ps" ''; continue; fi
		if [ "$engine" = podman ] && [ "$ME" != 0 ]; then emit denied 0 "$engine ps" ''; continue; fi # a user's own containers alone, and it may make files
		capture 10 "$engine" ps --no-trunc --format '{{.ID}}'
		emit_captured "$engine ps"
		if [ -z "$OUT" ] || [ "$RC" != 0 ]; then continue; fi
		# shellcheck disable=SC2086 # one word a container
		capture 15 "$engine" inspect --format '{{.Id}}	{{.Name}}	{{.HostConfig.Privileged}}	{{.HostConfig.NetworkMode}}	{{.HostConfig.PidMode}}	{{.HostConfig.UsernsMode}}	{{.Config.User}}	{{.Image}}	{{range .Mounts}}{{.Source}}|{{end}}	{{range .HostConfig.CapAdd}}{{.}}|{{end}}	{{json .NetworkSettings.Ports}}' $OUT
		emit_captured "$engine inspect (running containers, fixed fields)"
		# shellcheck disable=SC2046 # one word an image
		capture 15 "$engine" image inspect --format '{{.Id}}	{{.Created}}' $(printf %s "$OUT" | awk -F'\t' '!($8 in seen) { seen[$8]; print $8 }')
		emit_captured "$engine image inspect (images of running containers)"
		capture 10 "$engine" info --format '{{json .SecurityOptions}}'
		emit_captured "$engine info --format '{{json .SecurityOptions}}'"
	done
}

existing() { # path... : sets FOUND to those that exist, one a line; a name with a newline is left out
	FOUND=
	for f in "$@"; do
		case $f in *"$NL"*) continue ;; esac
		[ ! -e "$f" ] || FOUND=$FOUND$f$NL
	done
}

log_shipping() { # what leaves the host, and whether the sender works; message texts stay here, only counts leave (NC5)
	files syslog /etc/rsyslog.conf /etc/syslog-ng/syslog-ng.conf
	directory syslog /etc/rsyslog.d '*.conf'
	directory syslog /etc/syslog-ng/conf.d '*.conf'
	configuration='/etc/rsyslog.conf /etc/syslog-ng/syslog-ng.conf /etc/systemd/journal-upload.conf /etc/fluent-bit/fluent-bit.conf /etc/td-agent-bit/td-agent-bit.conf /etc/vector/vector.yaml /etc/vector/vector.toml /etc/filebeat/filebeat.yml'
	set +f
	set -- /etc/rsyslog.d/*.conf /etc/syslog-ng/conf.d/*.conf /etc/systemd/journal-upload.conf.d/*.conf
	set -f
	others=
	if [ -r /etc/rsyslog.conf ]; then # files that rsyslog includes from elsewhere
		others=$(for f in /etc/rsyslog.conf "$@"; do [ ! -f "$f" ] || printf '%s\n' "$f"; done | awk '
			{ while ((getline line < $0) > 0) {
				if (line ~ /^[ \t]*#/) continue
				if (tolower(line) ~ /^[ \t]*\$includeconfig[ \t]/) { sub(/^[ \t]*[^ \t]+[ \t]+/, "", line); sub(/[ \t].*/, "", line) }
				else if (tolower(line) ~ /include[ \t]*\(.*file[ \t]*=[ \t]*"/) { sub(/.*[Ff][Ii][Ll][Ee][ \t]*=[ \t]*"/, "", line); sub(/".*/, "", line) }
				else continue
				if (line ~ /^\/[A-Za-z0-9_.\/@+*?-]+$/ && line !~ /^\/etc\/rsyslog\.d\/[^\/]*\.conf$/ && !(line in done) && ++n <= 20) { done[line]; print line }
			} close($0) }')
	fi
	for pattern in $others; do
		SUFFIX=' (rsyslog)' # another part may read the same file in its own way
		case $pattern in /etc/rsyslog.*) SUFFIX= ;; esac
		case ${pattern%/*} in
		/etc/rsyslog.d) ;;
		*) case $pattern in *[*?]* | */) directory syslog "${pattern%/*}" "${pattern##*/}"; continue ;; esac ;;
		esac
		set +f
		# shellcheck disable=SC2086 # the pattern is to be expanded
		for f in $pattern; do
			case $f in *[*?]* | /etc/rsyslog.d/ | /etc/rsyslog.d/*.conf) continue ;; esac
			set -- "$@" "$f"
			set -f
			files syslog "$f"
		done
		set -f
	done
	SUFFIX=
	files plain /etc/systemd/journal-upload.conf
	directory plain /etc/systemd/journal-upload.conf.d '*.conf'
	files secrets /etc/fluent-bit/fluent-bit.conf /etc/td-agent-bit/td-agent-bit.conf /etc/vector/vector.yaml /etc/vector/vector.toml /etc/filebeat/filebeat.yml
	# shellcheck disable=SC2086 # one word a path
	existing $configuration "$@"
	if [ -n "$FOUND" ]; then
		IFS=$NL
		# shellcheck disable=SC2086 # split at newlines on purpose
		ask strict '' "stat -L -c '%Y %n' (configuration of log shippers)" stat -L -c '%Y %n' $FOUND
		# shellcheck disable=SC2086 # the same
		ask strict '' "stat -L -c '%Z %n' (configuration of log shippers)" stat -L -c '%Z %n' $FOUND
		IFS=' 	
'
	else
		emit ok 0 "stat -L -c '%Y %n' (configuration of log shippers)" ''
		emit ok 0 "stat -L -c '%Z %n' (configuration of log shippers)" ''
	fi
	shippers='rsyslog.service syslog-ng.service systemd-journal-upload.service fluent-bit.service vector.service filebeat.service'
	if [ -d /run/systemd/system ]; then
		# shellcheck disable=SC2086 # one word a unit
		run systemctl show -p Id,LoadState,ActiveState,ExecMainStartTimestampMonotonic $shippers
	else
		emit absent 127 "systemctl show -p Id,LoadState,ActiveState,ExecMainStartTimestampMonotonic $shippers" ''
	fi
	name='journalctl --since=-24h -u rsyslog.service -u syslog-ng.service (counts)'
	if ! have journalctl || [ ! -d /run/systemd/journal ]; then
		emit absent 127 "$name" ''
	elif [ "$ME" != 0 ]; then
		emit denied 0 "$name" ''
	else
		# Of a server that stays away rsyslog says once that it gave up, and then at each try that it could not connect. What syslog-ng says
		# of itself it writes to its own files, and never to the journal; where they hold no word of it, nothing is known.
		OUT=$({
			limit 10 journalctl -q --no-pager -o short --since=-24h -u rsyslog.service -u syslog-ng.service -u systemd-journal-upload.service 2>/dev/null </dev/null
			echo "rc $?"
			if [ -f /etc/syslog-ng/syslog-ng.conf ]; then
				date '+day %b %e'
				date '+day %Y-%m-%d'
				date -d "@$(($(date +%s) - 86400))" '+day %b %e%nday %Y-%m-%d' 2>/dev/null
				for f in /var/log/messages /var/log/syslog; do [ ! -f "$f" ] || limit 5 tail -c 5000000 "$f" 2>/dev/null </dev/null; done
			fi
		} | awk '
			rc == "" && /^rc [0-9]+$/ { rc = $2; next }
			rc == "" && /rsyslogd/ && / suspended |cannot connect to |could not get addrinfo|omrelp.*(error|could not)|GnuTLS error|not permitted to talk to/ { a++ }
			rc == "" && /rsyslogd/ && / resumed / { b++ }
			rc == "" && /systemd-journal-upload/ && /Upload to .* failed|Watchdog timeout/ { u++ }
			/^day / && days < 4 { day[++days] = substr($0, 5); next }
			rc != "" && / syslog-ng\[[0-9]+\]: / {
				heard = 1
				for (i = 1; i <= days; i++) if (index($0, day[i]) == 1) {
					if (/connection (failed|broken)/) c++
					if (/connection established/) d++
				}
			}
			END { printf "rsyslog.suspended=%d rsyslog.resumed=%d syslog-ng.suspended=%s syslog-ng.resumed=%s systemd-journal-upload.suspended=%d systemd-journal-upload.resumed=0\nrc %d", a, b, heard ? c + 0 : "?", heard ? d + 0 : "?", u, rc }')
		RC=${OUT##*rc }
		OUT=${OUT%"$NL"rc *}
		emit_captured "$name"
	fi
}

log_files() { # names, owners, sizes and times of logs, and what decides how long they are kept; no content (NC5)
	files plain /etc/systemd/journald.conf /usr/lib/systemd/journald.conf
	for d in /usr/lib/systemd/journald.conf.d /usr/local/lib/systemd/journald.conf.d /run/systemd/journald.conf.d /etc/systemd/journald.conf.d; do directory plain "$d" '*.conf'; done
	files logrotate /etc/logrotate.conf
	directory logrotate /etc/logrotate.d '*'
	set +f
	set -- /var/log/* /var/log/*/* /var/log/journal/*/* /run/log/journal/*/*
	set -f
	existing /var/log "$@" /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_rsa_key.pub /var/lib/logrotate/status /var/lib/logrotate/logrotate.status /var/lib/logrotate.status /var/lib/lastlog/lastlog2.db
	name="stat -c '%a %U %G %s %Y %W %F|%n' (logs)"
	IFS=$NL
	# shellcheck disable=SC2086 # split at newlines on purpose
	set -- $FOUND
	IFS=' 	
'
	if [ $# -gt 5000 ]; then
		emit truncated 0 "$name" ''
	else
		# A log that was rotated away in between is no failure.
		ask lenient '' "$name" stat -c '%a %U %G %s %Y %W %F|%n' "$@"
	fi
	if [ "$ME" != 0 ]; then # what lies in directories that only their owner may list
		n=0
		for f in /var/log/audit /var/log/journal /var/log/private; do [ ! -d "$f" ] || [ -r "$f" ] || n=$((n + 1)); done
		emit ok 0 'log directories that may not be listed' "$n"
	else
		emit ok 0 'log directories that may not be listed' 0
	fi
	run stat -f -c '%S %b %f %a' /var/log
	run_root auditctl -s
	run_root auditctl -l
}

log_samples() { # patterns of secrets and personal numbers in the logs of the last 24 hours: only counts leave (NC5)
	name='grep (patterns of sensitive data in logs of the last 24 h, counts)'
	if [ -n "$QUICK" ]; then emit skipped 0 "$name" ''; return; fi
	if [ "$ME" != 0 ]; then emit denied 0 "$name" ''; return; fi
	if ! have find || ! have tail; then emit absent 127 "$name" ''; return; fi
	capture 5 find /var/log -xdev -maxdepth 3 -type f -mmin -1440 '(' -name '*.log' -o -name syslog -o -name messages -o -name secure -o -name cron -o -name maillog ')' ! -path '/var/log/journal/*' ! -path '/var/log/apt/*' ! -name dpkg.log ! -name alternatives.log
	logs=$OUT
	OUT=$({
		IFS=$NL
		for f in $logs; do
			if [ -f "$f" ] && [ -r "$f" ]; then
				limit 20 tail -c 10000000 "$f" 2>/dev/null </dev/null
			fi
		done | head -c 50000000
		IFS=' 	
'
		# Where nothing writes text files the journal is the log.
		if [ ! -e /var/log/syslog ] && [ ! -e /var/log/messages ] && have journalctl; then
			limit 20 journalctl -q --no-pager -o cat --since=-24h 2>/dev/null </dev/null | head -c 20000000
		fi
	} | limit 20 awk "$SENSITIVE")
	RC=$?
	emit_captured "$name"
}

# Each line counts once a kind. Numbers count only with a valid check digit: ID cards by ISO 7064 MOD 11-2, cards by Luhn.
SENSITIVE='
function id_card(d,   i, sum, month, day) {
	month = substr(d, 11, 2) + 0; day = substr(d, 13, 2) + 0
	if (substr(d, 7, 2) !~ /19|20/ || month < 1 || month > 12 || day < 1 || day > 31) return 0
	for (i = 1; i <= 17; i++) sum += substr(d, i, 1) * W[i]
	return substr("10X98765432", sum % 11 + 1, 1) == toupper(substr(d, 18, 1))
}
function luhn(d,   i, n, sum, v) {
	n = length(d)
	for (i = 0; i < n; i++) {
		v = substr(d, n - i, 1) + 0
		if (i % 2) { v *= 2; if (v > 9) v -= 9 }
		sum += v
	}
	return sum % 10 == 0
}
BEGIN { split("7 9 10 5 8 4 2 1 6 3 7 9 10 5 8 4 2", W, " ") }
{
	bytes += length($0) + 1
	lines++
	low = ""
	if ($0 ~ /[Pp][Aa][Ss][Ss][Ww]|[Tt][Oo][Kk][Ee][Nn]|[Ss][Ee][Cc][Rr][Ee][Tt]|[Pp][Rr][Ii][Vv][Aa][Tt][Ee]|[Aa][Pp][Ii][_-]?[Kk][Ee][Yy]/) {
		low = tolower($0)
		gsub(/\([a-z0-9_-]*passwd:[a-z]+\)/, "", low) # what PAM calls itself: pam_unix(chpasswd:chauthtok)
		if (low ~ /(password|passwd|pwd)["\047]?[ ]*[=:][ ]*["\047]?[^ "\047*&,;)<\[({\/]/ && low !~ /(password|passwd|pwd)["\047]?[ ]*[=:][ ]*["\047]?(\*|x+|<|null|none|false|true|yes|no|redacted|masked|hidden|expired|incorrect|required|unchanged)/ || index(low, "temporary password is generated")) password++
		if (low ~ /(token|secret|api_?-?key)["\047]?[ ]*[=:][ ]*["\047]?[a-z0-9_.\/+-][a-z0-9_.\/+-][a-z0-9_.\/+-][a-z0-9_.\/+-][a-z0-9_.\/+-][a-z0-9_.\/+-][a-z0-9_.\/+-][a-z0-9_.\/+-]/) token++
		if (index($0, "-----BEGIN") && low ~ /-----begin [a-z0-9 ]*private key/) key++
	}
	if ($0 !~ /[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]/) next
	rest = $0; found_id = found_card = 0
	while (match(rest, /[0-9]+[Xx]?/)) {
		d = substr(rest, RSTART, RLENGTH)
		before = RSTART > 1 ? substr(rest, RSTART - 1, 1) : ""
		rest = substr(rest, RSTART + RLENGTH)
		if (before ~ /[A-Za-z0-9_.-]/ || rest ~ /^[A-Za-z0-9_-]/) continue
		if (!found_id && length(d) == 18 && d ~ /^[1-9]/ && id_card(d)) found_id = 1
		else if (!found_card && d ~ /^(4|5[1-5]|62|3[47])[0-9]+$/ && (length(d) == 16 || length(d) == 19 || (length(d) == 15 && d ~ /^3/)) && luhn(d)) found_card = 1
	}
	id += found_id; card += found_card
}
END { printf "bytes=%d lines=%d password=%d token=%d key=%d id=%d card=%d", bytes, lines, password, token, key, id, card }
'

time_sync() { # asks the local daemon only; timedatectl would start a service of its own
	files plain /etc/chrony/chrony.conf /etc/chrony.conf /etc/systemd/timesyncd.conf
	# Over UDP: over its socket chronyc would make a file of its own beside it.
	if [ -d /run/chrony ] || [ -e /run/chronyd.pid ] || [ -e /var/run/chronyd.pid ]; then run chronyc -n -h 127.0.0.1 -c tracking; fi
	if have ntpq && { [ -e /run/ntpd.pid ] || [ -e /var/run/ntpd.pid ] || [ -e /run/ntp ] || [ -e /run/ntpsec ]; }; then run ntpq -n -c 'rv 0 leap,stratum,offset,sys_jitter,stime'; fi
	if have ntpctl; then run_any ntpctl -s status; fi
	if [ -d /run/systemd/timesync ]; then
		ask lenient '' "stat -c '%Y' /run/systemd/timesync/synchronized" stat -c '%Y' /run/systemd/timesync/synchronized
		run timedatectl show-timesync
	else
		emit absent 0 "stat -c '%Y' /run/systemd/timesync/synchronized" ''
	fi
}

data_processes() { # data services that run: process, user, whether in a container, masked command line
	name='/proc/[0-9]*/cmdline (data services)'
	if ! { read -r comm </proc/1/comm; } 2>/dev/null; then emit denied 0 "$name" ''; return; fi
	if [ -z "$PROCESSES" ]; then emit failed 1 "$name" ''; return; fi
	OUT='' paths=''
	IFS=$NL
	for f in $PROCESSES; do
		IFS=' 	
'
		comm=${f#* } f=/proc/${f%% *}
		case $comm in
		mysqld* | mariadbd* | redis-* | valkey-* | keydb-* | postgres | postmaster | mongod | mongos | memcached | etcd | kube* | k3s* | k0s | rke2 | dockerd* | containerd | conmon | beam.smp | clickhouse* | influxd | couchdb | minio | consul | sqlservr | tnslsnr | oracle | dmserver | rsync | smbd | ksmbd* | tgtd | jupyter* | raylet | gcs_server | ganesha.nfsd | opensearch* | kibana) ;;
		java | node | MainThread | node-MainThread | python* ) ;; # the latter two are what Node.js 24 and 26 call themselves
		*) continue ;;
		esac
		uid='' where=0
		{ while read -r key _ value _; do if [ "$key" = Uid: ]; then uid=$value; break; fi; done <"$f/status"; } 2>/dev/null
		# shellcheck disable=SC3013 # every shell that the probe meets knows -ef
		if [ "$ME" = 0 ] && ! [ "$f/ns/net" -ef /proc/self/ns/net ]; then where=1; fi
		{ while read -r value; do case $value in *docker* | *libpod* | *kubepods* | *containerd-* | *lxc*) where=1 ;; esac; done <"$f/cgroup"; } 2>/dev/null
		OUT="${OUT}pid=${f##*/} name=$comm uid=$uid container=$where args$NL" paths="$paths $f/cmdline"
	done
	IFS=' 	
'
	# Of all command lines at once; in them a newline becomes a blank, and a line that looks like tail's counts only in its turn.
	# shellcheck disable=SC2086 # one word a path
	[ -z "$OUT" ] || OUT=$({ printf %s "$OUT"; tail -c +1 /dev/null $paths 2>/dev/null; } | tr '\000' '\037' | awk '
		!tails && /^pid=/ { head[++n] = $0; match($0, /^pid=[0-9]+/); pid[n] = substr($0, 5, RLENGTH - 4); next }
		/^==> \/dev\/null <==$/ && !tails { tails = 1; next }
		/^==> \/proc\/[0-9]+\/cmdline <==$/ { match($0, /[0-9]+/); p = substr($0, RSTART, RLENGTH); for (i = at + 1; i <= n && pid[i] != p; i++); if (i <= n) { at = i; next } }
		at { args[at] = args[at] (args[at] == "" ? "" : " ") $0 }
		END { for (i = 1; i <= n; i++) print head[i] "\037" args[i] }' | awk -v how=server "$AWK")
	emit ok 0 "$name" "$OUT"
}

included() { # how pattern file... : the files, and what they include, four deep; only from directories of data services
	how_tree=$1 pattern=$2 depth=0
	shift 2
	while [ $# -gt 0 ] && [ $depth -lt 4 ]; do
		depth=$((depth + 1)) new=
		for f in "$@"; do
			case $tree_seen in *"$NL$f$NL"*) continue ;; esac
			case $f in *"$NL"*) continue ;; esac
			tree_seen=$tree_seen$f$NL new=$new$f$NL
		done
		IFS=$NL
		# shellcheck disable=SC2086 # split at newlines on purpose
		set -- $new
		IFS=' 	
'
		[ $# -gt 0 ] || return 0
		files "$how_tree" "$@"
		readable=
		for f in "$@"; do if [ -f "$f" ] && [ -r "$f" ]; then readable="$readable$f$NL"; fi; done
		[ -n "$readable" ] || return 0
		found=$(printf %s "$readable" | awk '
			function out(kind, p) {
				gsub(/["\047;]/, "", p)
				if (p !~ /^\//) { base = path; sub(/[^\/]*$/, "", base); p = base p }
				sub(/\/+$/, "", p)
				if (p ~ /^\/(etc\/(mysql|my\.cnf|redis|valkey|postgresql)|var\/lib\/(pgsql|postgresql)|usr\/local\/(etc|pgsql))[A-Za-z0-9_.\/*?+-]*$/ && p !~ /\.\./ && !(p in done) && ++n <= 40) { done[p]; print kind, p }
			}
			{ path = $0
			while ((getline line < path) > 0) {
				sub(/^[ \t]+/, "", line)
				if (line !~ /^(!?include|aclfile|hba_file|[^#]*@)/) continue
				gsub(/=/, " ", line)
				m = split(line, w, /[ \t]+/)
				if (w[1] ~ /^(!include|include|include_if_exists|aclfile)$/) out("file", w[2])
				else if (w[1] ~ /^(!includedir|include_dir)$/) out("directory", w[2])
				else if (w[1] == "hba_file") out("hba", w[2])
				else if (path ~ /hba/) for (i = 2; i <= 3 && i <= m; i++) if (w[i] ~ /^@/) out("file", substr(w[i], 2))
			}
			close(path) }')
		set --
		IFS=$NL
		for entry in $found; do
			IFS=' 	
'
			kind=${entry%% *} entry=${entry#* }
			case $kind in
			hba) hba="$hba $entry"; continue ;;
			directory) entry=$entry/$pattern ;;
			esac
			case $entry in
			*[*?]*/*) ;;
			*[*?]*)
				listed_once "${entry%/*}"
				set +f
				for g in $entry; do [ ! -f "$g" ] || set -- "$@" "$g"; done
				set -f
				;;
			?*) set -- "$@" "$entry" ;;
			esac
		done
		IFS=' 	
'
	done
}

listed_once() { # directory : its names, once
	case $tree_seen in *"$NL$1/$NL"*) return ;; esac
	tree_seen=$tree_seen$1/$NL
	directory settings "$1" ''
}

data_services() { # databases, caches, queues, clusters and file shares: what runs, what is configured, whether they ask who is there (NC3, NC4)
	unset REDISCLI_AUTH MYSQL_PWD
	tree_seen=$NL hba=
	data_processes
	processes=$OUT
	included settings '*.cnf' /etc/my.cnf /etc/mysql/my.cnf
	listed_once /etc/redis
	listed_once /etc/valkey
	set --
	set +f
	for f in /etc/redis/*.conf /etc/valkey/*.conf; do [ ! -f "$f" ] || set -- "$@" "$f"; done
	set -f
	included settings '*.conf' /etc/redis.conf /etc/redis-sentinel.conf "$@"
	postgresql_clusters
	files yaml /etc/mongod.conf /etc/mongos.conf /etc/elasticsearch/elasticsearch.yml /etc/opensearch/opensearch.yml /etc/kibana/kibana.yml /etc/opensearch-dashboards/opensearch_dashboards.yml \
		/var/lib/kubelet/config.yaml /etc/etcd/etcd.conf.yml /etc/cassandra/cassandra.yaml /etc/cassandra/conf/cassandra.yaml /etc/docker/daemon.json
	directory yaml /etc/kubernetes/manifests '*.yaml'
	files settings /etc/memcached.conf /etc/sysconfig/memcached /etc/etcd/etcd.conf /etc/default/etcd /etc/etcd.env /etc/rabbitmq/rabbitmq.conf /etc/kafka/server.properties /opt/kafka/config/server.properties /opt/kafka/config/kraft/server.properties /etc/influxdb/influxdb.conf \
		/etc/rsyncd.conf /etc/samba/smb.conf /etc/nfs.conf /etc/default/nfs-kernel-server /etc/sysconfig/nfs
	directory settings /etc/nfs.conf.d '*.conf'
	directory settings /etc/samba '*.conf'
	directory settings /var/lib/samba/usershares '*'
	directory settings /etc/rabbitmq/conf.d '*.conf'
	files rabbit /etc/rabbitmq/rabbitmq.config /etc/rabbitmq/advanced.config
	files plain /etc/exports /var/lib/nfs/etab /proc/fs/nfsd/versions /proc/fs/nfsd/threads
	directory plain /etc/exports.d '*.exports'
	data_answers
}

postgresql_clusters() { # every cluster's settings and who may log in to it
	set +f
	set -- /etc/postgresql/*/* /var/lib/pgsql/data /var/lib/pgsql/*/data /var/lib/postgresql/data
	set -f
	found=
	case $processes in *' name=postgres '* | *' name=postmaster '*)
	for f in $(printf '%s\n' "$processes" | awk '/ name=(postgres|postmaster) .*container=0/ { for (i = 1; i < NF; i++) if ($i == "-D" && $(i + 1) ~ /^\/[A-Za-z0-9_.\/-]+$/) print $(i + 1) }'); do
		case " $* " in *" $f "*) ;; *) [ ! -e "$f/postgresql.conf" ] || set -- "$@" "$f" ;; esac
	done
	;; esac
	clusters=
	for f in "$@"; do
		case $f in *[*]* | *"$NL"*) continue ;; esac
		[ ! -e "$f/postgresql.conf" ] || clusters=$clusters$f$NL
	done
	name='/etc/postgresql/*/* /var/lib/pgsql/*/data (clusters)'
	status=ok
	for f in /etc/postgresql /var/lib/pgsql /var/lib/pgsql/data; do if [ -e "$f" ] && [ ! -x "$f" ]; then status=denied; fi; done
	emit $status 0 "$name" "${clusters%"$NL"}"
	for cluster in $clusters; do
		hba=
		included settings '*.conf' "$cluster/postgresql.conf"
		data=$(awk -F= '/^[ \t]*data_directory[ \t]*=?/ { v = $0; sub(/^[ \t]*data_directory[ \t]*=?[ \t]*/, "", v); gsub(/\047/, "", v); sub(/[ \t#].*/, "", v); print v; exit }' "$cluster/postgresql.conf" 2>/dev/null)
		case ${data:=$cluster} in /*) included settings '*.conf' "$data/postgresql.auto.conf" ;; esac
		[ -n "$hba" ] || hba="$data/pg_hba.conf"
		# shellcheck disable=SC2086 # one word a path
		included hba '*.conf' $hba
	done
}

data_answers() { # what a service says to a stranger on loopback; nothing is read or changed in it
	ports=''
	case $processes in
	*' name=redis-'* | *' name=valkey-'* | *' name=keydb-'*)
		ports=$(printf '%s\n' "$processes" | awk '/ name=(redis|valkey|keydb)-/ && / container=0 / { for (i = 5; i <= NF; i++) if ($i ~ /:[0-9]+$/) { p = $i; sub(/.*:/, "", p); if (p > 0 && !(p in done) && ++n <= 8) { done[p]; print p } } }')
		;;
	esac
	for f in $ports; do
		client=
		for c in redis-cli valkey-cli; do if have "$c"; then client=$c; break; fi; done
		[ -n "$client" ] || { emit absent 127 "redis-cli -h 127.0.0.1 -p $f ping" ''; continue; }
		OUT=$(limit 2 "$client" -h 127.0.0.1 -p "$f" ping 2>&1 </dev/null)
		RC=$?
		case $OUT in PONG | NOAUTH*) ;; *) OUT=other ;; esac
		OUT=${OUT%% *}
		emit ok "$RC" "redis-cli -h 127.0.0.1 -p $f ping" "$OUT"
	done
	case $processes in
	*name=mysqld* | *name=mariadbd*) mysql_accounts ;;
	esac
	case $processes in
	*' name=elasticsearch '* | *' name=opensearch '*)
		if have curl; then
			OUT=000
			for f in http https; do
				OUT=$(limit 3 curl -q -s -k -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 2 "$f://127.0.0.1:9200/" 2>/dev/null </dev/null)
				case $OUT in 200 | 401 | 403) break ;; esac
			done
			emit ok 0 'curl http://127.0.0.1:9200/ (status)' "$OUT"
		else
			emit absent 127 'curl http://127.0.0.1:9200/ (status)' ''
		fi
		;;
	esac
}

mysql_accounts() { # counts of accounts that need no password, by root's own socket login; no password is tried
	name='mysql -N -e (accounts without a password, counts)'
	client=
	for c in mariadb mysql; do if have "$c"; then client=$c; break; fi; done
	if [ -z "$client" ]; then emit absent 127 "$name" ''; return; fi
	if [ "$ME" != 0 ]; then emit denied 0 "$name" ''; return; fi
	if [ -n "$QUICK" ]; then emit skipped 0 "$name" ''; return; fi
	capture 5 "$client" --no-defaults --protocol=socket --connect-timeout=3 --user=root --skip-password --batch --skip-column-names --execute \
		"SELECT CONCAT('anonymous=', (SELECT COUNT(*) FROM mysql.user WHERE User='' /*!50706 AND account_locked='N' */), ' remote=', (SELECT COUNT(*) FROM mysql.user WHERE User<>'' AND Host NOT IN ('','localhost','127.0.0.1','::1') AND authentication_string='' AND plugin IN ('','mysql_native_password','caching_sha2_password','sha256_password') /*!50706 AND account_locked='N' */))"
	emit_captured "$name"
}

collect() { # function...
	case " $* " in
	*' jobs '*)
		redacted 'script settings' "$@" && jobs_named
		;;
	*) redacted '' "$@" ;;
	esac
}

lane() { # function... : collects, and meanwhile passes on what comes before it; its own follows
	# What is said early is judged early: a walk over all files takes longer than all else.
	{ cat <&3 3<&- & } 3<&0
	# mawk ends at a file whose reading fails. Then the lane looks once more and tries each file before.
	held=$(collect "$@" </dev/null && printf .) || held=$(TRY=1; collect "$@" </dev/null && printf .)
	wait
	case $held in
	*.) printf %s "${held%.}" ;;
	*) printf 'awk failed in: %s\n' "$*" ;; # no frame, so that who reads this takes nothing for whole
	esac
}

lanes() { # 'function...'... : each argument is a lane; all run side by side
	these=$1
	shift
	# shellcheck disable=SC2086 # one word a function
	if [ $# -eq 0 ]; then lane $these </dev/null; else lanes "$@" | lane $these; fi
}

looks() { # lanes that look side by side
	quick="knock data_services ssh identity jobs log_shipping log_files time_sync kernel web protection
		packages update_settings sockets firewall firewall_saved plain_services storage containers accounts sessions key_files"
	set -- walk 'journal_logins text_logins' updates applications log_samples 'advisories integrity deleted_libraries'
	# What is slow has a lane of its own. With --quick only the client of fail2ban is, where there is a server that it asks; any other lane would cost more than it brings.
	case $QUICK/$PROCESSES in
	/*) set -- "$@" bans ;;
	*' fail2ban-server'*) quick="$* $quick"; set -- bans ;;
	*) quick="$* bans $quick"; set -- ;;
	esac
	lanes "$@" "$quick"
}

overview || { echo 'probe.sh: awk failed, so there is nothing to see with' >&2; return 1; }
looks
emit ok 0 finished "$(date +%s)"
echo end

}

tutela_probe "$@"
