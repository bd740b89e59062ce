# shellcheck shell=sh
# Shared by every guest script: functions only; nothing runs before the last line of the script calls main.
#
# The arguments of a script are variables, set right before that line; the head of each script names them. One argument
# every script has:
# nonce - a random word from the host, which marks the answer and names the temporary folder: no mktemp, so no moment
#   between making the folder and knowing its name
#
# Variables that start with gb_ belong to this file.
#
# What is sent has no line that is empty or a comment, and no tabs at the beginning of a line: not in a quoted text or
# a here-document either.
#
# Exit codes; the table is in verdict.rs:
#   75 something is in the way
#   76 an operation is in progress
#   77 the workspace has changed meanwhile
#   78 the log is shorter
#   79 no directory to start in
#   80 the session cannot be stopped
#   81 no git
#   82 git is too old
#   83 no workspace
#   84 unknown base
#   85 unreadable files
#   86 no room for the files that we need
#   87 the path is taken
#   88 the upload is damaged
#   89 files keep changing
#   90 git failed
#   91 refused, and nothing was written
#   92 the command cannot start
#   93 the session's name was used
#   94 no such session
#   95 the session is running
#   96 another is attached
#   97 another took over; messages may have been sent
#   98 some of the message may have been written
#   99 the repository belongs to another user

# $1 - exit code
# $2 - message, without a full stop
die() {
	printf '%s\n' "$2" >&2
	exit "$1"
}

# Ends the script, and takes away what it made.
# $1 - exit code
gb_end() {
	# Nothing may interrupt the clean-up; a dead stderr may not kill it.
	trap '' HUP INT TERM PIPE
	trap - EXIT
	# Nor may a step that fails: the watcher may be gone already.
	set +e
	gb_status=$1
	case $gb_status in
	0 | 7[5-9] | 8[0-8] | 9[1-9] | 129 | 1[34]?) ;;
	*)
		test -z "$gb_own" || has_room "$gb_dir" || {
			printf '%s\n' "no space left in '${TMPDIR:-/tmp}'" >&2
			gb_status=86
		}
		;;
	esac
	test -z "$gb_watcher" || kill "$gb_watcher" 2>/dev/null
	case $gb_status in
	129 | 130 | 143)
		# A child that was being forked may have missed the signal; and git makes folders anew, ours too.
		kill -s TERM 0 2>/dev/null
		;;
	esac
	# A git that was killed with us may be writing its last file.
	if test -n "$gb_own"
	then
		rm -rf -- "$gb_dir" 2>/dev/null
		test ! -e "$gb_dir" || {
			sleep 1
			rm -rf -- "$gb_dir"
		}
	fi
	test -z "$gb_undo" || "$gb_undo" 2>/dev/null || {
		sleep 1
		"$gb_undo"
	}
	exit "$gb_status"
}

# Tells whether a folder takes another 256 KiB.
# $1 - the folder
has_room() {
	gb_full=0
	dd if=/dev/zero of="$1/git-banger.room" bs=65536 count=4 2>/dev/null || gb_full=$?
	rm -f -- "$1/git-banger.room"
	return "$gb_full"
}

# Makes the temporary folder, sets every way to leave, and goes to the home folder; for scripts that need no git.
enter() {
	gb_dir=${TMPDIR:-/tmp}/git-banger.$nonce gb_watcher='' gb_own='' gb_undo='' gb_switches='' gb_exec=''
	# shellcheck disable=SC2034 # for those whose files are the user's own
	gb_umask=$(umask)
	set -eu
	trap 'gb_end $?' EXIT
	# dash and busybox skip the EXIT trap on a signal; a plain 'exit n' here would skip a trap that is running.
	trap 'gb_end 129' HUP
	trap 'gb_end 130' INT
	trap 'gb_end 141' PIPE
	trap 'gb_end 143' TERM
	umask 077
	gb_own=1
	mkdir -m 700 -- "$gb_dir" 2>/dev/null || {
		# One that was killed may have made it first.
		test "$?" -gt 128 || gb_own=
		die 86 "cannot make a temporary directory in '${TMPDIR:-/tmp}'"
	}
	for gb_old in "${TMPDIR:-/tmp}"/git-banger.*
	do
		# A guest that was cut from its power, or frozen, could not clean up.
		test "$gb_old" = "$gb_dir" || test ! -O "$gb_old" 2>/dev/null ||
			find "$gb_old" -prune -type d -mtime +1 -exec rm -rf -- {} + 2>/dev/null || :
	done
	cd -- "${HOME:-/}"
}

# Enters, and sees to it that git is there and obeys nothing that the guest's environment says.
begin() {
	enter
	LC_ALL=C GIT_OPTIONAL_LOCKS=0 GIT_NO_REPLACE_OBJECTS=1 GIT_TERMINAL_PROMPT=0 GIT_LFS_SKIP_SMUDGE=1
	export LC_ALL GIT_OPTIONAL_LOCKS GIT_NO_REPLACE_OBJECTS GIT_TERMINAL_PROMPT GIT_LFS_SKIP_SMUDGE
	unset CDPATH GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES \
		GIT_COMMON_DIR GIT_NAMESPACE GIT_PREFIX GIT_SHALLOW_FILE GIT_GRAFT_FILE GIT_ATTR_SOURCE GIT_DEFAULT_HASH \
		GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT GIT_EXTERNAL_DIFF GIT_DIFF_OPTS GIT_LITERAL_PATHSPECS \
		GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_TRACE GIT_TRACE2 GIT_TRACE2_EVENT
	command -v git >/dev/null 2>&1 || die 81 "git is not installed"
	gb_version=$(git --version)
	gb_version=${gb_version#git version }
	gb_major=${gb_version%%.*} gb_minor=${gb_version#*.}
	gb_minor=${gb_minor%%[!0-9]*}
	test "$gb_major" -gt 2 2>/dev/null || {
		test "$gb_major" -eq 2 && test "$gb_minor" -ge 25
	} 2>/dev/null || die 82 "git $gb_version is too old: 2.25 or later is needed"
}

# Watches stdin, which the host holds open as long as it wants the answer: when the connection goes, this is the only
# thing that ends a script which writes nothing. Neither OpenSSH nor dropbear sends a signal without a terminal.
lease() {
	exec 3<&0 </dev/null
	# The watcher may not hold stdout or stderr, or the channel would never end.
	(
		# shellcheck disable=SC2034 # nothing of it matters
		while read -r gb_line <&3
		do
			:
		done
		kill -s TERM 0
	) >/dev/null 2>&1 &
	gb_watcher=$!
	exec 3<&-
}

# Runs git with everything off that the configuration could do behind our back.
plain_git() {
	# fsmonitor and the hooks would run programs (git before 2.36 takes even 'false' for one); a split index would be
	# written beside the real one; a safecrlf that dies and a low bigFileThreshold would each change what a snapshot is.
	# git-lfs puts new content where it is told to.
	# shellcheck disable=SC2086 # one word a switch
	$gb_exec git $gb_switches -c core.fsmonitor= -c core.splitIndex=false -c core.hooksPath=/dev/null -c core.safecrlf=false \
		-c core.bigFileThreshold=1m -c pack.packSizeLimit=0 -c pack.windowMemory=64m -c core.sparseCheckout=false \
		-c index.sparse=false -c core.untrackedCache=false -c core.quotePath=false -c diff.suppressBlankEmpty=false \
		-c diff.renameLimit=0 -c diff.relative=false -c filter.lfs.required=false -c "lfs.storage=$gb_dir/lfs" \
		-c advice.addEmbeddedRepo=false -c advice.addIgnoredFile=false "$@"
}

# Sets gb_name to a path, from a line in which git quoted it.
# $1 - the line
named() {
	case $1 in
	\"*\")
		gb_text=${1#?}
		gb_text=$(printf '%s\n' "${gb_text%?}" | sed -e 's/%/%%/g' -e 's/\\"/"/g')
		# shellcheck disable=SC2059 # git's escapes are those of printf's format
		gb_name=$(printf "x$gb_text"; printf x)
		gb_name=${gb_name#x} gb_name=${gb_name%x}
		;;
	*)
		gb_name=$1
		;;
	esac
}

# Turns a path as the user wrote it into one that cd takes from the home folder; sets gb_path.
# $1 - the path
from_home() {
	# shellcheck disable=SC2088 # a user's tilde, which no shell has seen yet
	case $1 in
	'~') gb_path=. ;;
	'~/'*) gb_path=./${1#??} ;;
	/*) gb_path=$1 ;;
	*) gb_path=./$1 ;;
	esac
}
