# shellcheck shell=sh disable=SC2034
# Shared by the scripts about sessions: where they live, how they are, locks. Functions only.

# Sets gb_sessions to the folder of all sessions, and gb_session to that of one.
# $1 - its name; checked by the host, so never more than one part of a path
session() {
	gb_state=${XDG_STATE_HOME:-}
	case $gb_state in
	/*) ;;
	*) gb_state=${HOME:-}/.local/state ;;
	esac
	gb_state=$gb_state/banger
	gb_sessions=$gb_state/sessions
	gb_session=$gb_sessions/$1
}

# As session, for one that must be there.
# $1 - its name
find_session() {
	session "$1"
	test -d "$gb_session" || die 94 "there is no session '$1'"
}

# Sets gb_is to running, exited or gone, and gb_status and gb_ended to its exit status and the time, where they are
# known.
condition() {
	gb_is=gone gb_status='' gb_ended=''
	! ended || return 0
	# The runner lives a moment longer than the process, to write the status down.
	if alive "$gb_session/pid" || alive "$gb_session/runner"
	then
		gb_is=running
	else
		ended || :
	fi
}

ended() {
	{ read -r gb_status gb_ended <"$gb_session/exit"; } 2>/dev/null && gb_is=exited
}

# Sets gb_out and gb_err to the sizes of the logs.
sizes() {
	# 'wc' of busybox reads it all.
	{
		read -r _ _ _ _ gb_err _
		read -r _ _ _ _ gb_out _
	} <<-EOF
	$(LC_ALL=C ls -ln "$gb_session/stderr.log" "$gb_session/stdout.log")
	EOF
}

# Waits a moment.
# $1 - how long, in seconds; may be left out
nap() {
	# POSIX knows whole seconds only.
	sleep "${1:-0.05}" 2>/dev/null || sleep 1
}

# Tells whether a time has come.
# $1 - in seconds since the epoch
past() {
	test "$(date +%s)" -ge "$1"
}

# Takes a lock that is free when this process ends, however it ends: the kernel's where there is flock; else a file
# that names its holder, which counts while the holder lives. Fails when the time is over.
# $1 - file
# $2 - when to give up, in seconds since the epoch
lock() {
	if command -v flock >/dev/null 2>&1
	then
		exec 9>>"$1"
		# That of busybox cannot wait for a time.
		flock -n 9 || flock -w "$(($2 - $(date +%s)))" 9 2>/dev/null || until flock -n 9
		do
			if past "$2"
			then
				exec 9>&-
				return 1
			fi
			nap
		done
	else
		gb_lock=$1.by
		record "$gb_lock.$nonce" "$$"
		until ln -- "$gb_lock.$nonce" "$gb_lock" 2>/dev/null
		do
			# Only one can make the folder, so only one takes the lock of the dead away, and no other's.
			alive "$gb_lock" || test -z "$gb_pid" || ! mkdir -- "$gb_lock.$gb_pid.$gb_was" 2>/dev/null ||
				rm -f -- "$gb_lock"
			if past "$2"
			then
				rm -f -- "$gb_lock.$nonce"
				return 1
			fi
			nap 0.2
		done
		rm -f -- "$gb_lock.$nonce"
	fi
}

# Lets the lock go.
unlock() {
	if command -v flock >/dev/null 2>&1
	then
		exec 9>&-
	else
		rm -f -- "$gb_lock"
	fi
}

# Takes the lock over from the shell that started this one, which must not unlock any more.
take_over() {
	# shellcheck disable=SC2016 # for the inner shell, whose parent this one is
	command -v flock >/dev/null 2>&1 || record "$gb_lock" "$(exec sh -c 'echo "$PPID"')"
}

# Starts the answer.
answer() {
	printf 'git-banger 1 %s\n' "$nonce"
}

# Ends the answer.
end_answer() {
	printf '\ngit-banger end %s\n' "$nonce"
}
