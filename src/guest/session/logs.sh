# shellcheck shell=sh
# Shows the logs of a session as they grow; attached, for one at a time.
#
# name - name of the session
# out_from - where to begin in stdout.log: an offset, 'now' for its end, or 'none' to leave it out
# err_from - the same for stderr.log
# follow - 1 to follow them until the session ends, else empty
# who - who attaches; empty to look on
# steal - 1 to take over from another who is attached, else empty
#
# stdin: held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'out' and 'err', where it begins in the logs; an empty line; chunks, each as
# 'out' or 'err', its length, a newline and its bytes; 'state' and 'status'; an empty line; an end marker with the nonce
main() {
	enter
	lease
	find_session "$name"
	test -z "$who" || attach
	sizes
	begin_at "$out_from" "$gb_out" "the stdout of session '$name'"
	out=$at
	begin_at "$err_from" "$gb_err" "the stderr of session '$name'"
	err=$at
	exec 5<"$gb_session/stdout.log" 6<"$gb_session/stderr.log"
	seek "$out" <&5
	seek "$err" <&6
	answer
	printf 'out %s\nerr %s\n\n' "$out" "$err"
	while :
	do
		# In this order: what a process wrote before its end is in the sizes.
		condition
		sizes
		moved=''
		if test "$out_from" != none && test "$out" -lt "$gb_out"
		then
			chunk out "$out" "$gb_out" <&5
			out=$((out + length))
		fi
		if test "$err_from" != none && test "$err" -lt "$gb_err"
		then
			chunk err "$err" "$gb_err" <&6
			err=$((err + length))
		fi
		test -z "$moved" || continue
		case $follow$gb_is in
		1running) nap ;;
		*) break ;;
		esac
	done
	printf 'state %s\nstatus %s\n\n' "$gb_is" "$gb_status"
	end_answer
}

# Sets at to where a log is read from.
# $1 - what was asked for
# $2 - the size
# $3 - its name, for messages
begin_at() {
	at=$1
	case $at in
	now | none) at=$2 ;;
	esac
	test "$at" -le "$2" || die 78 "$3 has only $2 bytes"
}

# Moves stdin, a log, to an offset.
# $1 - the offset
seek() {
	dd bs=65536 skip="$(($1 / 65536))" count=0 2>/dev/null
	test "$(($1 % 65536))" -eq 0 || dd bs="$(($1 % 65536))" count=1 2>/dev/null >/dev/null
}

# Sends some of stdin, a log; sets length.
# $1 - which log
# $2 - where it stands
# $3 - its size
chunk() {
	length=$(($3 - $2)) moved=1
	test "$length" -le 262144 || length=262144
	printf '%s %s\n' "$1" "$length"
	dd bs="$length" count=1 2>/dev/null
}

# Takes the place of the one who is attached; it is free again when this script ends, however it ends.
attach() {
	# A connection that was just cut may need a moment to be known as such.
	if ! lock "$gb_session/attach.lock" "$(($(date +%s) + 2))"
	then
		test -n "$steal" || {
			alive "$gb_session/attached" || gb_note='another'
			die 96 "session '$name' is attached by $gb_note"
		}
		dislodge
		lock "$gb_session/attach.lock" "$(($(date +%s) + 5))" || die 96 "session '$name' is attached, and stays so"
	fi
	gb_undo=detach
	trap 'gb_end 97' USR1
	record "$gb_session/attached" "$$" "$who${SSH_CLIENT:+ from ${SSH_CLIENT%% *}} since $(date '+%Y-%m-%d %H:%M:%S %z')"
}

detach() {
	rm -f -- "$gb_session/attached"
	unlock
}

# Ends the one who is attached.
dislodge() {
	alive "$gb_session/attached" || return 0
	holder=$gb_pid group=$gb_group
	# Asks first, so that the other learns why; one whose connection is stalled cannot answer.
	for how in "-s USR1 $holder" "-s TERM -- -$group" "-s KILL -- -$group"
	do
		# shellcheck disable=SC2086 # words of a command
		kill $how 2>/dev/null || :
		for _ in 1 2 3 4 5 6 7 8 9 10
		do
			alive "$gb_session/attached" || return 0
			nap
		done
	done
}
