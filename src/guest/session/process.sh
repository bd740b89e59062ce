# shellcheck shell=sh disable=SC2034
# Processes: told apart for good, and started apart from us. Functions only; shared with the runner, which outlives
# the scripts.

# Sets gb_identity to what tells a process from every other that has or had its number, and gb_group to its process
# group; fails when there is no such process, or only its corpse.
# $1 - pid
identity() {
	if test -e /proc/self/stat
	then
		{ read -r gb_stat <"/proc/$1/stat"; } 2>/dev/null || return 1
		# The program's name stands in brackets, and may hold blanks and brackets itself.
		# shellcheck disable=SC2086 # one word a field
		set -- ${gb_stat##*) }
		gb_group=$3 gb_identity=${20}
	else
		# shellcheck disable=SC2046
		set -- $(ps -o stat= -o pgid= -o lstart= -p "$1" 2>/dev/null)
		test "$#" -gt 2 || return 1
		gb_group=$2 gb_identity=$3$4$5$6$7
	fi
	case $1 in
	Z* | X*) return 1 ;;
	esac
}

# Sets gb_boot to what tells this run of the system from others: numbers and start times begin anew with each.
boot() {
	test -z "${gb_boot-}" || return 0
	{ read -r gb_boot </proc/sys/kernel/random/boot_id; } 2>/dev/null ||
		gb_boot=$(sysctl -n kern.boottime 2>/dev/null | tr -cd 0-9 | cut -c 1-10)
	gb_boot=${gb_boot:-unknown}
}

# Writes down which process it is.
# $1 - file
# $2 - pid
# $3 - what to note beside it; may be left out
record() {
	boot
	identity "$2" && printf '%s %s %s %s %s\n' "$2" "$gb_identity" "$gb_boot" "$gb_group" "${3-}" >"$1.new" &&
		mv -f -- "$1.new" "$1"
}

# Tells whether a process that was written down lives; sets gb_pid and gb_note from the file, gb_group if it does.
# $1 - file
alive() {
	gb_pid=''
	{ read -r gb_pid gb_was gb_booted gb_led gb_note <"$1"; } 2>/dev/null || return 1
	boot
	test "$gb_booted" = "$gb_boot" && identity "$gb_pid" && test "$gb_identity" = "$gb_was"
}

# Sets gb_means to what this system has to start a process apart from us.
means() {
	# 'setsid -f' forks by itself. A shell's '&' would have the process ignore INT and QUIT for good, so what busybox
	# has comes last.
	if setsid -f sh -c : 2>/dev/null
	then
		gb_means=setsid
	elif perl -MPOSIX -e 1 2>/dev/null
	then
		gb_means=perl
	elif python3 -c 1 2>/dev/null
	then
		gb_means=python3
	elif bash -c 'set -m' 2>/dev/null
	then
		gb_means=bash
	elif setsid sh -c : 2>/dev/null
	then
		gb_means=plain-setsid
	elif busybox setsid sh -c : 2>/dev/null
	then
		gb_means=busybox
	else
		gb_means=nothing
	fi
}

# Runs a command that stays when we go; returns at once. Its three files must be given.
away() {
	case $gb_means in
	setsid) setsid -f "$@" ;;
	perl) perl -MPOSIX=setsid -e 'fork and exit; setsid; exec { $ARGV[0] } @ARGV' -- "$@" ;;
	python3)
		python3 -c 'import os, signal, sys
os.fork() and os._exit(0)
os.setsid()
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
		;;
	# Not 'bash -m', which wants a terminal.
	bash) bash -c 'set -m; "$@" &' bash "$@" ;;
	plain-setsid) setsid "$@" & ;;
	busybox) busybox setsid "$@" & ;;
	*) "$@" & ;;
	esac
}

# Runs a command to its end, in a process group of its own, so that one signal reaches all of it.
apart() {
	case $gb_means in
	setsid | plain-setsid) setsid "$@" ;;
	perl) perl -MPOSIX=setsid -e 'setsid; exec { $ARGV[0] } @ARGV; exit 127' -- "$@" ;;
	python3)
		python3 -c 'import os, signal, sys
os.setsid()
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
		;;
	# Not the last command, which bash would not fork for.
	bash) bash -c 'set -m; "$@"; exit "$?"' bash "$@" ;;
	busybox) busybox setsid "$@" ;;
	*) "$@" ;;
	esac
}
