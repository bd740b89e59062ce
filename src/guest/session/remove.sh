# shellcheck shell=sh
# Removes what is left of a session that has ended: its logs, its exit status.
#
# name - name of the session
#
# stdin: not read
# stdout: a marker line with the nonce; an empty line; an end marker with the nonce
main() {
	enter
	find_session "$name"
	lock "$gb_sessions/.lock" "$(($(date +%s) + 10))" || die 91 "other sessions are being started"
	gb_undo=unlock
	condition
	test "$gb_is" != running || die 95 "session '$name' is running"
	! alive "$gb_session/holder" || kill -s KILL "$gb_pid"
	mv -- "$gb_session" "$gb_sessions/.old.$nonce"
	rm -rf -- "$gb_sessions/.old.$nonce"
	answer
	printf '\n'
	end_answer
}
