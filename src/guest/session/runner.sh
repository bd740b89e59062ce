# shellcheck shell=sh
# Runs a session's process, and keeps its exit status. Lies in the session's folder as 'run' while the session lives.
#
# $1 - keep: be the runner; become: be the process
# $2 - the session's folder
# $3 - what starts a process apart; see means
# $4 - umask of the process
# $5… - the command
main() {
	role=$1 folder=$2 gb_means=$3 mask=$4
	shift 4
	"$role" "$@"
}

keep() {
	record "$folder/runner" "$$"
	if test -p "$folder/stdin"
	then
		# Both ends at once, for opening one waits for the other.
		exec 3<>"$folder/stdin"
		# This one holds stdin open between writers; ending it is the end of input.
		sleep 2147483647 >"$folder/stdin" 3>&- &
		record "$folder/holder" "$!"
		exec 3>&-
	fi
	status=0
	# Not '&': the process would ignore INT and QUIT for good.
	apart sh "$folder/run" become "$folder" "$gb_means" "$mask" "$@" || status=$?
	! alive "$folder/holder" || kill -s KILL "$gb_pid"
	# On a full disk, the status waits for room.
	until { printf '%s %s\n' "$status" "$(date +%s)" >"$folder/exit.new"; } 2>/dev/null
	do
		sleep 1
	done
	mv -f -- "$folder/exit.new" "$folder/exit"
}

become() {
	# Only the process itself holds the read end, so that a writer learns at once when nobody reads any more.
	test ! -p "$folder/stdin" || exec <"$folder/stdin"
	exec >>"$folder/stdout.log" 2>>"$folder/stderr.log"
	record "$folder/pid" "$$"
	umask "$mask"
	exec "$@"
}
