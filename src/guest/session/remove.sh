# shellcheck shell=sh
# Removes what is left of a session that has ended: its logs, its exit status.
#
# $1 - nonce
# $2 - name
#
# stdin: not read
# stdout: a marker line with the nonce; an empty line; an end marker with the nonce
main() {
	enter "$1"
	find_session "$2"
	lock "$gb_sessions/.lock" "$(($(date +%s) + 10))" || die 91 "other sessions are being started"
	gb_undo=unlock
	condition
	test "$gb_is" != running || die 95 "session '$2' is running"
	! alive "$gb_session/holder" || kill -s KILL "$gb_pid"
	mv -- "$gb_session" "$gb_sessions/.old.$gb_nonce"
	rm -rf -- "$gb_sessions/.old.$gb_nonce"
	answer
	printf '\n'
	end_answer
}
