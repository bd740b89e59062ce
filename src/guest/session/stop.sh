# shellcheck shell=sh
# Ends a session: its whole process group, gently first.
#
# name - name of the session
# signal - the signal that it gets first
# grace - how many seconds it has before it is killed
#
# stdin: not read
# stdout: a marker line with the nonce; 'state'; 'status', the exit status, where it is known; 'killed 1' when it did
# not end by itself, 'was ended' when it had before; an empty line; an end marker with the nonce
main() {
	enter
	find_session "$name"
	killed='' was=running group=''
	condition
	if test "$gb_is" = running
	then
		signal "$signal"
		# A process that is held up would not see it.
		signal CONT
		limit=$(($(date +%s) + grace))
		wait_for "$limit" || {
			killed=1
			signal KILL
			wait_for "$(($(date +%s) + 5))" || die 80 "session '$name' is alive after KILL"
		}
		# Children that did not go with it.
		test -z "$group" || kill -s KILL -- "-$group" 2>/dev/null || :
	else
		was=ended
	fi
	answer
	printf 'state %s\nstatus %s\nkilled %s\nwas %s\n\n' "$gb_is" "$gb_status" "$killed" "$was"
	end_answer
}

# Sends a signal to the process group, or to the process alone where it shares the group of others.
# $1 - signal
signal() {
	alive "$gb_session/pid" || return 0
	if test "$gb_group" = "$gb_pid"
	then
		group=$gb_pid
		kill -s "$1" -- "-$group" 2>/dev/null || :
	else
		kill -s "$1" "$gb_pid" 2>/dev/null || :
	fi
}

# Waits for the end.
# $1 - until when
wait_for() {
	condition
	while test "$gb_is" = running
	do
		! past "$1" || return 1
		nap
		condition
	done
}
