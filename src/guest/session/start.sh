# shellcheck shell=sh
# Starts a session: a process that stays when the connection goes.
#
# name - name of the session
# workspace - path of the workspace
# folder - folder to start in, as seen from the workspace; may be empty
# piped - 1 for a stdin that others can write to, else empty
# replace - 1 to take the place of a session that has ended, else empty
# runner - text of the runner
# variables - how many variables there are
# $1… - variables, as NAME=value; then the command
#
# stdin: not read
# stdout: a marker line with the nonce; 'pid'; 'means', what started it; an empty line; an end marker with the nonce
main() {
	enter
	session "$name"
	aside='' made=''
	go_there
	means
	mkdir -p -- "$gb_sessions" || die 86 "cannot make the directory '$gb_sessions'"
	chmod 700 "$gb_state" "$gb_sessions"
	lock "$gb_sessions/.lock" "$(($(date +%s) + 10))" || die 91 "other sessions are being started"
	gb_undo=undo
	take_name
	furnish "$@"
	launch "$@"
	settle
	gb_undo=''
	unlock
	test -z "$aside" || rm -rf -- "$aside"
	read -r pid _ <"$gb_session/pid"
	answer
	printf 'pid %s\nmeans %s\n\n' "$pid" "$gb_means"
	end_answer
}

# Goes to the folder that the process starts in.
go_there() {
	from_home "$workspace"
	# shellcheck disable=SC2088 # a user's tilde, which no shell has seen yet
	case $folder in
	/* | '~' | '~/'*) from_home "$folder" ;;
	?*) gb_path=$gb_path/$folder ;;
	esac
	CDPATH='' cd -- "$gb_path" 2>/dev/null || die 79 "no directory '$gb_path' to start in"
}

# Makes the session's folder.
take_name() {
	if test -e "$gb_session"
	then
		condition
		test "$gb_is" != running || die 95 "session '$name' runs already"
		test -n "$replace" || die 93 "there was a session '$name' already: it has ended"
		mv -- "$gb_session" "$gb_sessions/.old.$nonce"
		aside=$gb_sessions/.old.$nonce
	fi
	mkdir -- "$gb_session" || die 86 "cannot make the directory '$gb_session'"
	made=1
}

# Fills the session's folder.
# $1… - variables, then the command
furnish() {
	cd_now=$(pwd)
	shift "$variables"
	{
		printf '%s\n' "$runner" >"$gb_session/run"
		printf 'started=%s\0cwd=%s\0means=%s\0' "$(date +%s)" "$cd_now" "$gb_means"
		printf 'arg=%s\0' "$@"
	} >"$gb_session/meta" || die 86 "no room for a session in '$gb_session'"
	for file in stdout.log stderr.log attach.lock write.lock
	do
		: >"$gb_session/$file"
	done
	test -z "$piped" || mkfifo "$gb_session/stdin" || die 86 "cannot make a FIFO in '$gb_session'"
}

# Starts the runner.
# $1… - variables, then the command
launch() (
	gb_left=$variables
	while test "$gb_left" -gt 0
	do
		# In this subshell only, and never in an argument, where every user of the guest could read them. A variable may
		# have any name, so from here on only those are read that start with gb_.
		# shellcheck disable=SC2163 # NAME=value
		export "$1"
		shift
		gb_left=$((gb_left - 1))
	done
	command -v -- "$1" >/dev/null 2>&1 || die 92 "'$1' is not a program that the guest finds: PATH is '$PATH'"
	away sh "$gb_session/run" keep "$gb_session" "$gb_means" "$gb_umask" "$@" </dev/null >/dev/null 2>&1 9>&-
)

# Waits until the process runs, or cannot.
settle() {
	until_when=$(($(date +%s) + 10))
	until test -e "$gb_session/pid" || test -e "$gb_session/exit"
	do
		! past "$until_when" || die 92 "the session did not start"
		nap
	done
	# The process is there; a moment more tells whether it could become the command.
	for _ in 1 2 3
	do
		nap
		if ended
		then
			case $gb_status in
			126 | 127) die 92 "the command cannot start: $(tail -n 5 "$gb_session/stderr.log")" ;;
			esac
			return
		fi
	done
}

# Takes back what was done, and puts back what was there.
undo() {
	unlock
	if test -n "$made"
	then
		! alive "$gb_session/pid" || kill -s KILL "$gb_pid"
		! alive "$gb_session/holder" || kill -s KILL "$gb_pid"
		rm -rf -- "$gb_session"
	fi
	test -z "$aside" || mv -- "$aside" "$gb_session"
}
