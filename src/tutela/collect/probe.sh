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
IFS=' 	
'
set -f -u
umask 077
NL='
'
ME=$(id -u)
MAX_FILE=524288 # bytes of one file; more is "truncated"
MAX_FILES=400   # files of one directory
WALK_SECONDS=10 # for walks over the file system
WALK_ROWS=20000

# --- printing sources ------------------------------------------------------------------------------------------------

emit() { # status exit-code name content
	printf '%s %d %d %d\n%s\n%s\n' "$1" "$2" "${#3}" "${#4}" "$3" "$4"
}

have() { command -v "$1" >/dev/null 2>&1; }

if have timeout; then
	limit() { timeout -k 1 "$@"; }
elif have perl; then
	limit() { perl -e 'alarm shift; exec @ARGV or exit 127' "$@"; }
else
	limit() { return 124; } # without a limit nothing is run
fi

capture() { # seconds command... : OUT and RC; the command reads nothing and its complaints are dropped
	OUT=$(limit "$@" 2>/dev/null </dev/null)
	RC=$?
}

emit_captured() { # name : prints OUT with the status that RC means
	case $RC in
	0) emit ok 0 "$1" "$OUT" ;;
	124 | 137 | 142) emit timeout "$RC" "$1" "$OUT" ;;
	*) emit failed "$RC" "$1" "$OUT" ;;
	esac
}

run() { # command... : one source, named by its command line
	if have "$1"; then
		capture 20 "$@"
		emit_captured "$*"
	else
		emit absent 127 "$*" ''
	fi
}

run_any() { # command... : like run, for commands whose exit code is part of the answer
	if have "$1"; then
		capture 20 "$@"
		case $RC in 124 | 137 | 142) ;; *) emit ok "$RC" "$*" "$OUT"; return ;; esac
		emit_captured "$*"
	else
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

run_masked() { # how command... : like run; the output passes the redaction `how` of AWK
	how=$1
	shift
	if ! have "$1"; then
		emit absent 127 "$*" ''
		return
	fi
	OUT=$({ limit 20 "$@" 2>/dev/null </dev/null; echo "rc $?"; } | awk -v how="$how" -v tail=1 "$AWK")
	RC=${OUT##*rc }
	OUT=${OUT%rc *}
	OUT=${OUT%"$NL"}
	emit_captured "$*"
}

hidden() { # path : true when a directory above it may not be searched, so that "no such file" would be a guess
	h=$1
	while :; do
		h=${h%/*}
		[ -n "$h" ] || return 1
		if [ -d "$h" ]; then
			[ ! -x "$h" ]
			return
		fi
	done
}

files() { # how path... : one source a file; all readable ones by a single awk
	how=$1
	shift
	readable=
	for f in "$@"; do
		if [ ! -e "$f" ]; then
			if hidden "$f"; then emit denied 0 "$f" ''; else emit absent 0 "$f" ''; fi
		elif [ ! -f "$f" ]; then
			emit failed 0 "$f" 'not a regular file'
		elif [ ! -r "$f" ]; then
			emit denied 0 "$f" ''
		else
			case $f in *"$NL"*) emit failed 0 "${f%%"$NL"*}" 'a newline in its name' ;; *) readable=$readable$f$NL ;; esac
		fi
	done
	[ -z "$readable" ] || printf '%s' "$readable" | awk -v how="$how" -v frames=1 -v max="$MAX_FILE" "$AWK"
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
	listed= paths= n=0
	set +f
	for f in "$2"/* "$2"/.[!.]*; do
		[ -e "$f" ] || [ -L "$f" ] || continue
		n=$((n + 1))
		[ "$n" -le "$MAX_FILES" ] || break
		listed=$listed${f##*/}$NL
	done
	set -- "$1" "$2" "$2"/$3
	set +f
	if [ "$n" -gt "$MAX_FILES" ]; then emit truncated 0 "$2/" "$listed"; else emit ok 0 "$2/" "${listed%"$NL"}"; fi
	how=$1
	shift 2
	n=0
	for f in "$@"; do
		n=$((n + 1))
		[ "$n" -le "$MAX_FILES" ] || break
		[ ! -f "$f" ] || paths=$paths$f$NL
	done
	set -f
	IFS=$NL
	# shellcheck disable=SC2086 # split at newlines on purpose
	[ -z "$paths" ] || files "$how" $paths
	IFS=' 	
'
}

# --- redaction -------------------------------------------------------------------------------------------------------
# One awk program for everything that is read. `how` says what kind of text it is:
#   plain    configuration without secrets of its own kind (sshd, PAM, os-release); URLs and private keys are still masked
#   secrets  configuration that may hold secrets: the value of every key that sounds like one is masked
#   command  lines that hold command lines (cron, units): arguments that may be secret are masked
#   shadow   field 2 becomes empty, locked or the prefix of its algorithm (NC1)
#   knock    sequences become their length and kind (NC7)
#   keys     authorized_keys: options, type and comment stay, the key itself becomes its length
# With frames=1 it reads file names and prints framed sources; else it filters its input.

AWK='
function secret_key(k) {
	k = tolower(k)
	if (k ~ /(passwordauthentication|permitemptypasswords|password_?encryption|password_?hashers?|passwordfile|password_file|tokens?_?ttl|keyfile|key_file|authkey_?file)$/) return 0
	return k ~ /(pass(wd|word|phrase|wort)?|requirepass|masterauth|secret|token|api_?key|apikey|access_?key|private_?key|credentials?|community|psk|auth_?pass|bindpw|rootpw|pwd|encryption_?key|shared_?key|authkey|license_?key|dsn|connection_?string|sasl_.*pass.*)$/
}
function mask_urls(s,   out, at, cut) {
	# scheme://user:password@host, scheme://token@host
	out = ""
	while (match(s, /[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\/@ \t"<>]*@/)) {
		at = index(substr(s, RSTART), "://")
		out = out substr(s, 1, RSTART - 1) substr(s, RSTART, at + 2) "***@"
		s = substr(s, RSTART + RLENGTH)
	}
	return out s
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
	if (n >= 2 && secret_key(w[1] == "" ? w[2] : w[1])) {
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
			} else if (word ~ /^[A-Za-z0-9+_=.-]+$/ && length(word) >= 20 && word ~ /[0-9]/ && word ~ /[A-Za-z]/) word = "***"
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
function keys_line(s,   n, w, i, type) {
	if (s ~ /^[ \t]*#/ || s ~ /^[ \t]*$/) return ""
	if (match(s, /(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+[ \t]+[A-Za-z0-9+\/=]+/)) {
		n = split(substr(s, RSTART, RLENGTH), w, /[ \t]+/)
		return mask_pairs(substr(s, 1, RSTART - 1)) w[1] " length=" length(w[2])
	}
	return "unreadable line"
}
function redact(s,   f, n, i) {
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
		if (n < 7) return s
		s = f[1] ":" (f[2] == "x" ? "x" : shadow_field(f[2])) ":" f[3] ":" f[4] "::" f[6] ":" f[7]
		for (i = 8; i <= n; i++) s = s ":" f[i]
		return s
	}
	if (how == "keys") return keys_line(s)
	if (how == "knock") return mask_urls(knock_line(s))
	s = mask_urls(s)
	if (how == "secrets") return mask_words(mask_pairs(s))
	if (how == "command") return mask_command(s)
	return s
}
BEGIN {
	if (!frames) next_file = ""
	while (frames && (getline path) > 0) {
		body = ""; status = "ok"; inkey = 0
		while ((r = (getline line < path)) > 0) {
			body = body redact(line) "\n"
			if (length(body) > max) { status = "truncated"; break }
		}
		if (r < 0) status = "failed"
		close(path)
		sub(/\n$/, "", body)
		printf "%s 0 %d %d\n", status, length(path), length(body)
		print path
		print body
	}
	if (frames) exit
}
tail && /^rc [0-9]+$/ { print; next }
{ print redact($0) }
'

# --- what is looked at -----------------------------------------------------------------------------------------------
# Three lanes run side by side, each holding its output until the lane before it has been passed on.

identity() {
	emit ok 0 meta "version=$VERSION${NL}uid=$ME${NL}quick=${QUICK:-0}${NL}started=$(date +%s)${NL}offset=$(date +%z)"
	run uname -srm
	run hostname
	files plain /etc/os-release /usr/lib/os-release /etc/hostname /etc/machine-id /proc/uptime /proc/sys/kernel/random/boot_id /proc/cmdline
	if have pro; then run pro status --format json; fi
	run ip -o addr
	run_any systemd-detect-virt
}

accounts() {
	files passwd /etc/passwd
	files shadow /etc/shadow /etc/gshadow
	files plain /etc/group /etc/login.defs /etc/shells
}

sockets() {
	RC=127
	run ss -H -lntupeO
	[ "$RC" = 0 ] || files plain /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6
	files plain /proc/sys/net/ipv4/ip_local_port_range /proc/sys/net/ipv6/bindv6only
}

packages() {
	if have dpkg-query; then
		# shellcheck disable=SC2016 # dpkg-query's own placeholders
		run dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n'
	fi
	if have rpm; then run rpm -qa --qf '%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\n'; fi
}

updates() {
	if [ -n "$QUICK" ]; then
		emit skipped 0 'apt-get -s -o Debug::NoLocking=1 dist-upgrade' ''
	elif have apt-get; then
		capture 120 apt-get -s -o Debug::NoLocking=1 dist-upgrade
		emit_captured 'apt-get -s -o Debug::NoLocking=1 dist-upgrade'
	fi
}

lane() { # function... : collects first, then passes on what came before it
	held=$(for part in "$@"; do "$part"; done; printf .)
	cat
	printf %s "${held%.}"
}

printf '' | lane updates | lane packages sockets | lane identity accounts
echo end

}

tutela_probe "$@"
