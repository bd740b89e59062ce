# shellcheck shell=sh
# Makes the workspace: a repository with what the host shipped.
#
# $1 - nonce
# $2 - path of the workspace; must be absent, or an empty folder
# $3 - branch, with refs/heads/; empty for a detached HEAD
# $4 - the prepared head
# $5 - 1 when the host's branch has no commit yet, else empty
# $6 - baseline
# $7 - object format
# $8 - user.name for the worker, may be empty
# $9 - user.email for the worker, may be empty
# ${10} - commits at which the history ends, separated by blanks; empty for a whole history
#
# stdin: a pack; then held open by the host as long as it wants the answer
# stdout: a marker line with the nonce; 'path' and where the workspace is; an empty line; an end marker with the nonce
main() {
	begin "$1"
	# The files get the modes that the user's own would.
	umask "$gb_umask"
	from_home "$2"
	take_place "$2"
	case $7 in
	# git before 2.29 knows no other, nor the switch.
	sha1) git -c init.defaultObjectFormat=sha1 init -q . ;;
	*)
		test "$gb_major" -gt 2 || test "$gb_minor" -ge 29 ||
			failed 82 "git $gb_version is too old for a repository with $7: 2.29 or later is needed"
		git init -q --object-format="$7" .
		;;
	esac || failed 90 "cannot make a repository in '$2'"
	if test -n "${10}"
	then
		# shellcheck disable=SC2086 # one word a commit
		printf '%s\n' ${10} >.git/shallow
	fi
	plain_git index-pack --stdin >/dev/null || failed 88 "the upload did not arrive whole"
	lease
	set_identity user.name "$8"
	set_identity user.email "$9"
	# The files are written as they are in the repository, so they must be read back so, too.
	case $(git config core.autocrlf || :) in
	'' | false) ;;
	*) git config core.autocrlf false ;;
	esac
	if test -z "$3"
	then
		plain_git update-ref --no-deref -m 'git-banger: prepare' HEAD "$4"
	else
		plain_git symbolic-ref HEAD "$3"
		test -n "$5" || plain_git update-ref -m 'git-banger: prepare' "$3" "$4"
	fi
	# Else a clean-up of the repository would take what the host shipped beside the head.
	plain_git update-ref refs/banger/prepare "$4"
	plain_git update-ref refs/banger/baseline "$6"
	# First all files as the host has them, then the index as the head has it: the edits are uncommitted again, and
	# the index knows the files' times, so that the first export is fast.
	plain_git read-tree -m -u "$6" || failed 90 "cannot write the files to '$2'"
	# git reads again what was written in the same second as the index: for thousands of files a second is well spent.
	test "$(wc -c <.git/index)" -lt 500000 || sleep 1
	plain_git read-tree -m "$4"
	plain_git update-index -q --refresh || :
	printf 'git-banger 1 %s\npath %s\n\n' "$gb_nonce" "$(pwd)"
	printf '\ngit-banger end %s\n' "$gb_nonce"
	# Last: the host believes in the workspace when it sees exit status 0.
	gb_undo=
}

# Ends the script for want of space, or else as said.
# $1 - exit code
# $2 - message
failed() {
	has_room . || die 86 "no space left for the workspace"
	die "$1" "$2"
}

# Makes and enters the folder of the workspace.
# $1 - its name, for messages
take_place() {
	top='' made=''
	if test ! -e "$gb_path" && test ! -h "$gb_path"
	then
		case $gb_path in
		/*) ;;
		*) gb_path=$PWD/${gb_path#./} ;;
		esac
		mkdir -p -- "${gb_path%/*}/" || die 83 "cannot make the folder of '$1'"
		# Before it is made: a cut may come at any moment.
		made=$gb_path gb_undo=leave_place
		mkdir -- "$gb_path" || {
			test "$?" -gt 128 || made=''
			die 83 "cannot make '$1'"
		}
	fi
	cd -- "$gb_path" 2>/dev/null || die 87 "'$1' is in the way: it is not a folder, or cannot be entered"
	test -n "$made" || is_empty || die 87 "'$1' is not empty"
	test -w . || die 83 "cannot write to '$1'"
	top=$(pwd) gb_undo=leave_place
}

# Tells whether this folder is empty.
is_empty() {
	for gb_file in * .[!.]* ..?*
	do
		test ! -e "$gb_file" && test ! -h "$gb_file" || return 1
	done
}

# Takes away a workspace that did not become whole; what was there before was an empty folder at most.
leave_place() {
	test -z "$top" || {
		cd -- "$top" && rm -rf -- * .[!.]* ..?*
	} || return 1
	cd /
	test -z "$made" || test ! -d "$made" || rmdir -- "$made"
}

# Gives the worker the host user's identity, unless the guest has its own.
# $1 - key
# $2 - value, may be empty
set_identity() {
	test -z "$2" || git config "$1" >/dev/null || git config "$1" "$2"
}
