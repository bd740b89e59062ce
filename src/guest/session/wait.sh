# shellcheck shell=sh
# Waits for the end of a session.
#
# name - name of the session
# timeout - how many seconds; empty for as long as it takes
#
# stdin: held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'state'; 'status', the exit status, where it is known; an empty line; an end
# marker with the nonce
main() {
	enter
	lease
	find_session "$name"
	limit=''
	test -z "$timeout" || limit=$(($(date +%s) + timeout))
	condition
	while test "$gb_is" = running
	do
		test -z "$limit" || ! past "$limit" || break
		nap
		condition
	done
	answer
	printf 'state %s\nstatus %s\n\n' "$gb_is" "$gb_status"
	end_answer
}
