# shellcheck shell=sh
# Lists the sessions.
#
# name - the one to tell about; empty for all
#
# stdin: held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'now', the time; an empty line; 'key=value' records that end with NUL, each
# session's beginning with its name, and an empty one; an end marker with the nonce
main() {
	enter
	lease
	if test -n "$name"
	then
		find_session "$name"
	else
		session ''
	fi
	answer
	printf 'now %s\n\n' "$(date +%s)"
	if test -n "$name"
	then
		tell "$name"
	else
		for gb_session in "$gb_sessions"/*
		do
			test ! -f "$gb_session/meta" || tell "${gb_session##*/}"
		done
	fi
	printf '\0'
	end_answer
}

# $1 - name
tell() {
	condition
	sizes
	printf 'name=%s\0state=%s\0status=%s\0ended=%s\0out=%s\0err=%s\0' \
		"$1" "$gb_is" "$gb_status" "$gb_ended" "$gb_out" "$gb_err"
	! alive "$gb_session/pid" || printf 'pid=%s\0' "$gb_pid"
	! alive "$gb_session/attached" || printf 'attached=%s\0' "$gb_note"
	if test ! -p "$gb_session/stdin"
	then
		printf 'stdin=none\0'
	elif test -e "$gb_session/eof"
	then
		printf 'stdin=closed\0'
	else
		printf 'stdin=open\0'
	fi
	cat -- "$gb_session/meta"
}
